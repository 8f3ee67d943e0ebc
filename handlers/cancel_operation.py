"""Ask for an operation of the same tenant to stop.

    {"operation_id": "0192f0c1-…"}

One that has not started is cancelled at once. One that runs stops at its next check and puts back what
it touched. One that has ended stays as it is: the outcome says so and is no failure.
"""

from __future__ import annotations

from domain.context import Context
from domain.errors import NotFound, WrongTenant
from domain.operation import TERMINAL, State
from domain.outcome import Outcome
from domain.subscription import Subscription
from handlers import Id, Payload


class CancelOperation(Payload):
    """Which operation."""

    operation_id: Id


def handle(command: CancelOperation, context: Context) -> Outcome:
    """Cancel by compare-and-set; the state that was reached is in the outcome."""
    target = context.find_operation(command.operation_id)
    if target is None:
        raise NotFound(f"operation {command.operation_id} does not exist", code="unknown-operation")
    if target.tenant_id != context.operation.tenant_id:
        raise WrongTenant(f"operation {command.operation_id} does not belong to tenant {context.operation.tenant_id}")
    state = context.cancel(command.operation_id) or target.state
    if state is State.CANCELLED:
        sentence = f"operation {command.operation_id} is cancelled"
    elif state in TERMINAL:
        sentence = f"operation {command.operation_id} had already ended: {state}"
    else:
        sentence = f"operation {command.operation_id} has been asked to stop"
    return Outcome.succeeded(sentence, operation_id=command.operation_id, state=state.value)


subscription = Subscription(CancelOperation, handle, exclusive=False)
