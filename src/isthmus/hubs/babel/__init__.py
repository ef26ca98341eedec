"""babel: the embedded hub, a generated and seeded SYNTHETIC multilingual world.

It serves the same dataset ids, configs, columns, label orders and splits as the real hub, so that a catalogue
entry does not know which hub serves it. How to read it, from meaning to table:

    dice.py       reproducible random numbers, one independent stream per name
    world.py      what can be said: concepts, events, styles; and what follows from what
    languages.py  the typology table: one row per language, data only
    functions.py  function words of questions, pronouns, conjunctions and names: one row per language, data only
    scripts.py    how a romanised word is written: Latin, Cyrillic, Arabic, Devanagari, Hangul, kana, Han
    lexicon.py    the made-up words and names of each language, cognates of the English ones among them
    morphology.py a stem and a template give a word form: vowel harmony, allomorphs
    grammar.py    an event or a question and a style become the tokens of a sentence
    parse.py      a sentence becomes an event again (the way back, exact)
    texts.py      text without labels: what encoders are pre-trained on
    nli.py paraphrase.py choices.py causes.py bitext.py tags.py spans.py lookup.py   the datasets of each kind: meanings
                  drawn, said in a language, and answers decided from the text alone
    japanese.py elsewhere.py   those of the same kinds in other columns: JGLUE and its like; the same rows under other ids
    tables.py     what a dataset is; rows become a pyarrow table with the hub's features
    hub.py        the entry: languages, offers, serve, write_tree, oracle

Meanings and labels never depend on the language; languages differ in form only.
"""
