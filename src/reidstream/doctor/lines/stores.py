"""Known lines of ChromaDB and SQLite."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

_REBUILD = "`reidstream gallery check` compares it with the rows, `reidstream gallery rebuild` makes it anew"

STORE_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "gallery-owned",
        "Stores",
        r"is being written by|GalleryLocked",
        "Another process owns the gallery for writing; two writers would lose vectors.",
        "Wait until it has finished, or stop it. Reading and searching go on meanwhile.",
        "error: gallery people is being written by process 4711 on camera-host",
    ),
    KnownLine(
        "chroma-dimension",
        "Stores",
        r"Collection expecting embedding with dimension|InvalidDimensionException|"
        r"does not match (the )?(collection|index)('s)? dimensionality|dimensionality mismatch",
        "The collection holds vectors of another length, so of another model; the two cannot be compared.",
        "One gallery, one model: make another gallery for the new model, or embed the old one's people anew.",
        "chromadb.errors.InvalidDimensionException: Collection expecting embedding with dimension of 512, got 256",
    ),
    KnownLine(
        "chroma-index-lost",
        "Stores",
        r"Error (creating|loading) hnsw|hnsw segment (reader|writer)|Nothing found on disk|"
        r"Error (executing plan|loading).*hnsw|Index (with capacity|not initialized)|pickle data was truncated.*hnsw|"
        r"compactor.*hnsw",
        "The files of the vector index are missing or torn: written by two processes, copied while in use, or the "
        "disk was full.",
        f"The index is derived and can be made again: {_REBUILD}. One process may write; copy a gallery only at rest.",
        "chromadb.errors.InternalError: Error creating hnsw segment reader: Nothing found on disk",
    ),
    KnownLine(
        "chroma-version",
        "Stores",
        r"no such column: (collections|segments|embeddings|tenants|databases|maintenance_log)\.|"
        r"no such table: (collections|tenants|databases|segments|embeddings|migrations|acquire_write|embeddings_queue|"
        r"collection_metadata)|KeyError: '_type'|InconsistentVersionError|InconsistentHashError|"
        r"Could not connect to tenant|Tenant default_tenant not found|mismatched types; Rust type|"
        r"deprecated configuration of Chroma|is not a valid UUID.*segment|"
        r"unrecognized .*(hnsw|collection) configuration",
        "The folder was written by another version of ChromaDB, whose tables differ.",
        "Use the version that wrote it, or make the folder anew: a gallery's rows do not depend on it, and "
        f"{_REBUILD}.",
        "sqlite3.OperationalError: no such column: collections.topic",
    ),
    KnownLine(
        "chroma-settings",
        "Stores",
        r"instance of Chroma already exists|already exists with different settings",
        "The folder is open twice in this process with different settings.",
        "Open it once, and hand that client on; end the notebook's kernel to begin anew.",
        "ValueError: An instance of Chroma already exists for people with different settings",
    ),
    KnownLine(
        "chroma-collection",
        "Stores",
        r"Collection \[?\S+?\]? (does not exist|already exists|not found)|UniqueConstraintError|"
        r"InvalidCollectionException",
        "A collection is asked for that is not there, or made although it is.",
        "Use get_or_create_collection, and look whether the folder is the right one (a wrong path makes an empty one).",
        "chromadb.errors.NotFoundError: Collection [people] does not exist",
    ),
    KnownLine(
        "chroma-batch",
        "Stores",
        r"exceeds? (the )?max(imum)? batch size (of )?\d|"
        r"Batch size of? ?\d+ (is greater|exceeds)|too many SQL variables",
        "More vectors were added at once than ChromaDB takes in one call.",
        "Add them in parts (client.get_max_batch_size()); ReIDStream does.",
        "ValueError: Batch size 50000 exceeds maximum batch size 5461",
    ),
    KnownLine(
        "chroma-ef",
        "Stores",
        r"contiguous 2D array.*(ef|M) is too small|Probably ef or M is too small",
        "The index cannot find as many neighbours as were asked for.",
        "Ask for fewer, or raise the collection's ef (hnsw:search_ef); the exact index has no such limit.",
        "RuntimeError: Cannot return the results in a contiguous 2D array. Probably ef or M is too small",
    ),
    KnownLine(
        "chroma-remark",
        "Stores",
        r"Number of requested results \d+ is greater than number of elements|Failed to send telemetry event|"
        r"(Add|Insert) of existing embedding ID|Delete of nonexisting embedding ID|Anonymized telemetry enabled|"
        r"capture\(\) takes 1 positional argument",
        "A remark of ChromaDB: fewer vectors than asked for, an id added again, or its statistics not sent.",
        "Nothing has to be done.",
        "Number of requested results 10 is greater than number of elements in index 3, updating n_results = 3",
        harmless=True,
    ),
    KnownLine(
        "sqlite-old",
        "Stores",
        r"unsupported version of sqlite3|requires sqlite3 ?>= ?3",
        "ChromaDB wants SQLite 3.35 or newer than this Python was built with.",
        "Use a newer Python (3.11 to 3.13 from a current distribution or from uv).",
        "RuntimeError: Your system has an unsupported version of sqlite3. Chroma requires sqlite3 >= 3.35.0.",
    ),
    KnownLine(
        "database-locked",
        "Stores",
        r"database (table )?is locked|\(code: 5\)|SQLITE_BUSY",
        "Another process holds the database: a second writer, an open browser of databases, or a network folder "
        "whose locks do not work.",
        "Let one process write (`reidstream run` and `serve` arrange that themselves), and keep galleries on a "
        "local disk.",
        "sqlite3.OperationalError: database is locked",
    ),
    KnownLine(
        "database-damaged",
        "Stores",
        r"database disk image is malformed|file is not a database|file is encrypted or is not a database|"
        r"SQLITE_(CORRUPT|NOTADB)|\(code: (11|26)\)",
        "The database file is damaged or is no database: cut short, copied while in use, or another file.",
        "Restore the last export or copy; `reidstream gallery check` says what is wrong. Copy only at rest.",
        "sqlite3.DatabaseError: database disk image is malformed",
    ),
    KnownLine(
        "database-readonly",
        "Stores",
        r"attempt to write a readonly database|unable to open database file|SQLITE_(READONLY|CANTOPEN)|"
        r"\(code: (8|14|1032)\)",
        "The database or its folder cannot be written by this user, is mounted read-only, or was removed meanwhile.",
        "Give the user that runs (10001 in our image) the folder: `chown -R 10001 FOLDER`; check the mount.",
        "sqlite3.OperationalError: attempt to write a readonly database",
    ),
    KnownLine(
        "database-disk",
        "Stores",
        r"database or disk is full|disk I/O error|SQLITE_(FULL|IOERR)|\(code: (10|13|522|1034)\)",
        "The disk is full or does not answer (network folders do that).",
        "Make room, or move the gallery to a local disk; what was committed is safe.",
        "sqlite3.OperationalError: disk I/O error",
    ),
)
