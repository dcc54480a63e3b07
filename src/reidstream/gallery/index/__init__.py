"""The vector index beside the SQL facts: its protocol, ChromaDB and the exact one, and what keeps them filled.

Nothing is imported here: the index's own process needs ChromaDB without SQL, and the gallery SQL without ChromaDB.
"""
