"""HTTP: what watches this process, the API for programs and the console for people."""
