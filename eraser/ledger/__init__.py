"""What happened, kept durably. `journal.py` is the plain command's, in files; the rest is the station's one database: schema,
migrations, the writer (`store.py`), its journal, lots, custody, certificates, and `check.py`.
Imports domain and what touches files; nothing above.
"""
