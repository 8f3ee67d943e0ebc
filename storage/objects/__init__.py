"""One file per kind of object store; the file's name is the URL scheme. Nothing else lives here."""
