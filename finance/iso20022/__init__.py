"""ISO 20022 messages: what banks and the market send one another as files.

``xml.py`` parses what strangers send and refuses what is dangerous; ``structure.py`` checks a message against a table
of its structure, ``shapes.py`` has the tables. Above them, one module for each kind of message: ``pain_001.py`` (pay
these), ``camt_054.py`` (this has come in), ``assignment.py`` (tsin.006: finance these; tsin.008: these are assigned).
"""
