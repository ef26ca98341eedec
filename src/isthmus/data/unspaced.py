"""Blanks that a publisher put between the words of a language that writes without them.

A tokenizer that has seen the language as people write it cuts such text otherwise, so they are taken out again.
"""

import re

# Kana, Han, and the punctuation that goes with them; ranges rather than Unicode's tables, which differ between Pythons.
_WIDE = "\u2e80-\u2fdf\u3000-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"
_BLANKS = re.compile(rf"(?<=[{_WIDE}])\s+|\s+(?=[{_WIDE}])")


def unspaced(text: str) -> str:
    """The text without blanks beside a kana, a Han character or their punctuation; those between other words stay."""
    return _BLANKS.sub("", text)
