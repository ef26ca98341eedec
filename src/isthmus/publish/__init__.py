"""From scores to what people read: tables, gains, the report, the terminal."""
