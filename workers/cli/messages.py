"""`backstay messages`: the commands that this version understands, from the files that define them.

Apart from documentation because it cannot be out of date: the table is the folder `handlers/`.
"""

from __future__ import annotations

import sys

from workers.cli.screen import reporting
from workers.cli.session import AsJson


def messages(as_json: AsJson = False) -> None:
    """List the message types; with --json also an example payload and the schema of each."""
    with reporting(as_json) as screen:
        import handlers

        documents = []
        for name, subscription in handlers.subscriptions().items():
            text = sys.modules[f"handlers.{name.replace('-', '_')}"].__doc__ or ""
            summary, _, rest = text.strip().partition("\n")
            example = rest.strip().partition("\n\n")[0]
            documents.append(
                {
                    "type": f"backstay.{name}.v{max(subscription.versions)}",
                    "summary": summary,
                    "example": " ".join(example.split()),
                    "exclusive": subscription.exclusive,
                    "schema": subscription.model.model_json_schema(),
                }
            )
        screen.document({"messages": documents, "next": None})
        screen.table(("TYPE", "WHAT IT DOES"), [(d["type"], d["summary"]) for d in documents], "no message types")


def names() -> list[str]:
    """The types by their short names, from the folder and without importing any of them."""
    import pkgutil

    import handlers

    return sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(handlers.__path__))
