"""The season that users of each frequency usually mean."""

from __future__ import annotations

__all__ = ["SEASONS", "season_of"]

SEASONS = {
    "Y": 1,
    "Q": 4,
    "M": 12,
    "W": 52,
    "D": 7,
    "B": 5,
    "h": 24,
    "bh": 8,
    "min": 60,
    "s": 60,
}
"""Time steps of the season of each frequency, in pandas' words."""

ALIASES = {"YE": "Y", "YS": "Y", "BYE": "Y", "BYS": "Y", "QE": "Q", "QS": "Q"}
ALIASES |= {"BQE": "Q", "BQS": "Q", "ME": "M", "MS": "M", "BME": "M", "BMS": "M"}
ALIASES |= {"C": "B", "cbh": "bh"}

LONGER = {"s": (60, "min"), "min": (60, "h"), "h": (24, "D"), "D": (7, "W")}
"""How many of a frequency are one of another."""

MINUTES_OF_DAY = 24 * 60


def season_of(name: str, multiple: int = 1) -> int:
    """Return the seasonal period that a frequency suggests, 1 where it suggests none.

    Parameters
    ----------
    name : str
        Name of the frequency, such as ``"MS"`` or ``"W-SUN"``.
    multiple : int, default=1
        How many of it a time step is, such as 15 for quarters of an hour.
    """
    name = name.split("-")[0]
    name = ALIASES.get(name, name)
    while name in LONGER and multiple % LONGER[name][0] == 0:
        number, name = LONGER[name]
        multiple //= number
    season = SEASONS.get(name, 1)
    if name == "min" and multiple > 1:
        season = MINUTES_OF_DAY
    return season // multiple if season % multiple == 0 else 1
