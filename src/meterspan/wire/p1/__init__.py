"""P1, the consumer port of DSMR, ESMR and their relatives (interface H1): read, write, and a stream reader."""

from meterspan.wire.p1.profiles import GENERIC, PROFILES, CrcPolicy, P1Profile
from meterspan.wire.p1.reader import P1Damage, P1Reader
from meterspan.wire.p1.telegram import (
    MAX_LINES,
    MAX_TELEGRAM_SIZE,
    P1Fault,
    P1Object,
    P1Telegram,
    P1Value,
    crc_of,
    fixed,
    p1_object,
    p1_time,
    read_telegram,
    write_telegram,
)

__all__ = [
    "GENERIC",
    "MAX_LINES",
    "MAX_TELEGRAM_SIZE",
    "PROFILES",
    "CrcPolicy",
    "P1Damage",
    "P1Fault",
    "P1Object",
    "P1Profile",
    "P1Reader",
    "P1Telegram",
    "P1Value",
    "crc_of",
    "fixed",
    "p1_object",
    "p1_time",
    "read_telegram",
    "write_telegram",
]
