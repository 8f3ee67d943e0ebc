"""The port `Calendar` over cronsim: cron as Debian's cron reads it, in the time zones of the system.

Apart from the domain, which knows no library. Five fields and the usual short names; seconds are refused, because
nothing here is worth asking for twice a minute.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from domain.errors import InvalidMessage

#: Short names, as cron has them.
MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
#: An expression longer than this is a mistake.
MOST_CHARACTERS = 200


class CronCalendar:
    """May be shared between threads."""

    def check(self, cron: str, zone: str) -> None:
        """See the port."""
        _zone(zone)
        if len(cron) > MOST_CHARACTERS or len(_expanded(cron).split()) != 5:
            raise InvalidMessage(
                "cron: must have five fields (minute, hour, day of month, month, day of week) or be one of "
                + ", ".join(MACROS),
                field="cron",
            )
        if not self.after(cron, zone, 0):
            raise InvalidMessage(f"cron: {cron!r} names no time that ever comes", field="cron")

    def after(self, cron: str, zone: str, at: int) -> int:
        """See the port."""
        from cronsim import CronSim, CronSimError

        begin = datetime.fromtimestamp(at / 1000, UTC)
        local = begin.astimezone(_zone(zone))
        try:
            for found in CronSim(_expanded(cron), local):
                moment = round(found.timestamp() * 1000)
                if moment > at:  # the hour that a clock repeats is named again after it has passed once
                    return moment
        except CronSimError as error:
            raise InvalidMessage(f"cron: {cron!r} cannot be read: {error}", field="cron") from None
        except (OverflowError, RuntimeError):
            pass
        return 0


def _expanded(cron: str) -> str:
    return MACROS.get(cron.strip().lower(), cron)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise InvalidMessage(f"zone: no time zone {name[:64]!r}", field="zone") from None
