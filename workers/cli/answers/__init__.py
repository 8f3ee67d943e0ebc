"""What `--json` prints, command by command, as types: the public contract of the command line.

Apart from documents.py, which makes the documents, because these are read by people and programs: the schemas
of `backstay schema` and the reference in docs/ come from here, and every document that a test of the command
line sees is held against them. Documents may gain fields; none is renamed, removed or given another meaning.
"""

from __future__ import annotations

from typing import Any

from workers.cli.answers import access, installation, letters, nodes, snapshots, work

#: Command -> the document that it prints when it has done what it was asked for. An error is a `work.Failure`.
ANSWERS: dict[str, Any] = {
    "migrate": installation.Migrated,
    "publish": work.Published | work.Operation,
    "operations list": work.Operations,
    "operations show": work.OperationWhole,
    "operations cancel": work.Operation,
    "operations watch": work.Operation,
    "operations explain": work.OperationStory,
    "operations resolve": work.OperationResolved,
    "operations move": nodes.OperationMoved,
    "operations give-up": work.Operation,
    "dead-letters list": letters.DeadLetters,
    "dead-letters show": letters.DeadLetterWhole,
    "dead-letters replay": letters.DeadLetterReplayed,
    "dead-letters discard": letters.DeadLetterDiscarded,
    "snapshots list": snapshots.Snapshots,
    "snapshots show": snapshots.Snapshot,
    "snapshots create": work.Operation,
    "snapshots restore": work.Operation,
    "snapshots diff": work.Operation,
    "snapshots delete": work.Operation,
    "snapshots verify": work.Operation,
    "snapshots pin": work.Operation,
    "snapshots unpin": work.Operation,
    "snapshots export": work.Operation,
    "snapshots link": snapshots.Link,
    "snapshots import": work.Operation,
    "snapshots import-list": snapshots.Objects,
    "snapshots import-rosti": snapshots.Imports,
    "snapshots export-record": snapshots.Record,
    "snapshots import-record": work.Operation,
    "retention set": work.Operation,
    "retention remove": work.Operation,
    "retention plan": snapshots.RetentionPlan,
    "retention apply": work.Operation,
    "history prune": installation.HistoryPruned,
    "catalogue rebuild": snapshots.Catalogue,
    "catalogue check": snapshots.Catalogue,
    "nodes list": nodes.Nodes,
    "nodes show": nodes.NodeWhole,
    "nodes drain": nodes.Node,
    "nodes undrain": nodes.Node,
    "nodes forget": nodes.NodeForgotten,
    "services apply": work.Operation,
    "services list": installation.Services,
    "services show": installation.ServiceWhole,
    "versions list": installation.Versions,
    "versions publish": work.Operation,
    "plan upgrade": installation.Plan,
    "plan rollback": installation.Plan,
    "keys list": installation.Keys,
    "keys rotate": installation.KeyRotated,
    "keys rewrap": installation.KeysRewrapped,
    "keys destroy": installation.KeyDestroyed,
    "config show": installation.Settings,
    "config new-key": installation.SecretKeys,
    "doctor": installation.Doctor,
    "store repack": work.Operation,
    "replicas": installation.Replicas,
    "tokens create": access.TokenMade,
    "tokens list": access.Tokens,
    "tokens revoke": access.TokenRevoked,
    "messages": installation.MessageTypes,
    "schema": installation.Schemas,
    "completion bash": installation.Script,
    "completion zsh": installation.Script,
    "completion fish": installation.Script,
}
