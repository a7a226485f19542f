"""The one home of Hypothesis strategies: one per record, used by every law."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from meterspan.analytics.conserve import Installation
from meterspan.quantities import ClockStatus, ClockTime, Obis
from meterspan.wire import acse, xdlms
from meterspan.wire.axdr import BitString, Data, DataType, IeeeFloat
from meterspan.wire.axdr.data import INTEGER_LAYOUT
from meterspan.wire.ber import Tlv
from meterspan.wire.hdlc import HdlcAddress, HdlcFrame, HdlcParameters
from meterspan.wire.xdlms import codes

octets = st.integers(0, 0xFF)
obis_codes = st.builds(Obis, octets, octets, octets, octets, octets, octets)

# --- links: HDLC and wrapper -----------------------------------------------------------------------------------------


def hdlc_addresses():
    """Every form that the standard or a meter writes."""
    forms = {1: (7, 0), 2: (7, 7), 3: (14, 7), 4: (14, 14)}
    return st.one_of(
        st.builds(
            HdlcAddress,
            st.integers(0, (1 << upper) - 1),
            st.integers(0, (1 << lower) - 1) if lower else st.none(),
            st.just(size),
        )
        for size, (upper, lower) in forms.items()
    )


def hdlc_frames(information_max=200):
    """Any frame that can be written, whatever its control octet."""
    return st.builds(
        HdlcFrame, hdlc_addresses(), hdlc_addresses(), octets, st.binary(max_size=information_max), st.booleans()
    )


def hdlc_parameters():
    """What a station may say of itself, with parameters that we do not know."""
    window = st.integers(1, 7)
    information = st.one_of(st.integers(1, 2030), st.integers(1, 0xFFFF_FFFF))
    other = st.lists(st.tuples(st.integers(9, 255), st.binary(max_size=5)), max_size=3).map(tuple)
    return st.builds(HdlcParameters, information, information, window, window, other)


wrapper_ports = st.integers(0, 0xFFFF)

# --- registers and their chains (data side) ---------------------------------------------------------------------------

CHAIN_START = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Chain:
    """Installations after each other with a capture period."""

    installations: tuple[Installation, ...]
    period_s: int


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Registers with gaps, jitter, resets, rollovers, zero glitches, conflicts, exchanges, closings and openings."""
    period = draw(st.sampled_from((900, 1_800, 3_600, 86_400)))
    now = CHAIN_START + draw(st.integers(0, 86_400))
    installations = []
    for _ in range(draw(st.integers(1, 3))):
        width = draw(st.sampled_from((None, 1_000, 1_000_000)))
        register = draw(st.integers(0, (width or 10**9) - 1))
        start, opening = (now, register) if draw(st.booleans()) else (None, None)
        times, values = [], []
        for _ in range(draw(st.integers(0, 12))):
            now += draw(st.sampled_from((10, period, period, period, 3 * period, 40 * period))) + draw(
                st.integers(0, 60)
            )
            register += draw(st.integers(0, 400))
            happens = draw(st.sampled_from(("", "", "", "", "reset", "zero", "conflict", "jump")))
            if happens == "reset":
                register = draw(st.integers(0, 5))
            elif happens == "jump":
                register += 10**7
            if width is not None:
                register %= width
            times.append(now)
            values.append(0 if happens == "zero" else register)
            if happens == "conflict":
                times.append(now)
                values.append(draw(st.integers(0, 10**6)))
        now += draw(st.integers(1, 2 * period))
        end, closing = (now, register) if draw(st.booleans()) else (None, None)
        installations.append(
            Installation(
                np.array(times, np.int64),
                np.array(values, np.int64),
                np.zeros(len(times), np.int32),
                start=start,
                end=end,
                opening=opening,
                closing=closing,
                width=width,
                multiplier=draw(st.sampled_from((1, 1, 40))),
                ceiling_per_hour=draw(st.sampled_from((None, None, 5_000))),
            )
        )
        now += draw(st.sampled_from((0, 0, 7, 5 * period)))
    return Chain(tuple(installations), period)


# --- DLMS on the wire: A-XDR, ACSE, xDLMS -----------------------------------------------------------------------------


def clock_times():
    """Any date-time that 12 octets can say, also one that no calendar has."""
    field = st.one_of(st.none(), st.integers(0, 0xFE))
    deviation = st.one_of(st.none(), st.integers(-720, 840), st.integers(-0x7FFF, 0x7FFF))
    year = st.one_of(st.none(), st.integers(2000, 2100), st.integers(0, 0xFFFE))
    status = st.one_of(st.none(), st.integers(0, 0xFE).map(ClockStatus))
    return st.builds(ClockTime, year, field, field, field, field, field, field, field, deviation, status)


def _simple_data():
    def integers(type_):
        size, signed = INTEGER_LAYOUT[type_]
        low = -(1 << 8 * size - 1) if signed else 0
        return st.builds(Data, st.just(type_), st.integers(low, low + (1 << 8 * size) - 1))

    latin = st.text(st.characters(max_codepoint=0xFF), max_size=20)
    date = st.builds(ClockTime, year=st.integers(0, 0xFFFE), month=st.none() | st.integers(0, 0xFE))
    bits = st.integers(0, 20).flatmap(
        lambda size: st.builds(BitString, st.binary(min_size=-(-size // 8), max_size=-(-size // 8)), st.just(size))
    )
    return st.one_of(
        *map(integers, INTEGER_LAYOUT),
        st.sampled_from([Data(DataType.NULL), Data(DataType.DONT_CARE)]),
        st.builds(Data, st.just(DataType.BOOLEAN), st.booleans()),
        st.builds(Data, st.just(DataType.OCTET_STRING), st.binary(max_size=20) | st.binary(min_size=128, max_size=130)),
        st.builds(Data, st.just(DataType.VISIBLE_STRING), latin),
        st.builds(Data, st.just(DataType.UTF8_STRING), st.text(max_size=20)),
        st.builds(Data, st.just(DataType.BIT_STRING), bits),
        st.builds(Data, st.just(DataType.FLOAT32), st.builds(IeeeFloat, st.binary(min_size=4, max_size=4))),
        st.builds(Data, st.just(DataType.FLOAT64), st.builds(IeeeFloat, st.binary(min_size=8, max_size=8))),
        st.builds(Data, st.just(DataType.DATE_TIME), clock_times()),
        st.builds(Data, st.just(DataType.DATE), date),
        st.builds(Data, st.just(DataType.TIME), st.builds(ClockTime, hour=st.integers(0, 0xFE))),
    )


def cosem_data():
    """Any value of the COSEM data types; composites are small."""
    return st.recursive(
        _simple_data(),
        lambda inner: st.builds(
            Data, st.sampled_from([DataType.ARRAY, DataType.STRUCTURE]), st.lists(inner, max_size=4).map(tuple)
        ),
        max_leaves=12,
    )


def dlms_apdus():
    """Any xDLMS APDU that can be written."""
    u32, u16, flag = st.integers(0, 0xFFFF_FFFF), st.integers(0, 0xFFFF), st.booleans()
    invoke = st.builds(xdlms.InvokeIdAndPriority, st.integers(0, 15), flag, flag, st.integers(0, 3))
    member = st.integers(-128, 127)
    attribute = st.builds(xdlms.CosemAttributeDescriptor, u16, obis_codes, member)
    method = st.builds(xdlms.CosemMethodDescriptor, u16, obis_codes, member)
    column = st.builds(xdlms.CaptureObjectDefinition, u16, obis_codes, member, u16)
    access = st.one_of(
        st.none(),
        st.builds(xdlms.RangeAccess, column, cosem_data(), cosem_data(), st.lists(column, max_size=2).map(tuple)),
        st.builds(xdlms.EntryAccess, u32, u32, u16, u16),
        st.builds(xdlms.OtherAccess, st.integers(3, 255), cosem_data()),
    )

    def several(item):
        return st.lists(item, max_size=3).map(tuple)

    block = st.builds(xdlms.DataBlock, u32, flag, st.binary(max_size=200))
    refusal = octets.map(xdlms.DataAccessResult)
    result = st.one_of(cosem_data(), refusal)
    outcome = st.builds(xdlms.ActionOutcome, octets.map(xdlms.ActionResult), st.none() | result)
    selection = st.builds(xdlms.AttributeSelection, attribute, access)
    moment = st.none() | clock_times()
    long_invoke = st.builds(
        xdlms.LongInvokeIdAndPriority, st.integers(0, 0xFF_FFFF), flag, flag, flag, flag, st.integers(0, 15)
    )
    content = st.builds(xdlms.CipheredContent, octets.map(xdlms.SecurityControl), u32, st.binary(max_size=40))
    quality = st.none() | member
    conformance = st.integers(0, 0xFF_FFFF).map(xdlms.Conformance)
    short = st.binary(max_size=20)
    key_info = st.one_of(
        st.none(),
        st.builds(xdlms.KeyInfo, st.just(xdlms.KeyInfoKind.IDENTIFIED), st.binary(min_size=1, max_size=1)),
        st.builds(xdlms.KeyInfo, st.just(xdlms.KeyInfoKind.WRAPPED), st.binary(min_size=1, max_size=1), short),
        st.builds(xdlms.KeyInfo, st.just(xdlms.KeyInfoKind.AGREED), short, short),
    )
    plain_fault = octets.filter(lambda code: code != xdlms.ServiceFault.INVOCATION_COUNTER_ERROR)
    return st.one_of(
        st.builds(xdlms.InitiateRequest, conformance, u16, st.none() | short, flag, quality, octets),
        st.builds(xdlms.InitiateResponse, conformance, u16, u16, quality, octets),
        st.builds(
            xdlms.ConfirmedServiceError,
            octets.map(xdlms.ConfirmedService),
            octets.map(xdlms.ServiceErrorCategory),
            octets,
        ),
        st.builds(
            xdlms.ExceptionResponse, octets.map(xdlms.StateFault), plain_fault.map(xdlms.ServiceFault), st.none()
        ),
        st.builds(
            xdlms.ExceptionResponse,
            octets.map(xdlms.StateFault),
            st.just(xdlms.ServiceFault.INVOCATION_COUNTER_ERROR),
            u32,
        ),
        st.builds(xdlms.GetRequestNormal, invoke, attribute, access),
        st.builds(xdlms.GetRequestNext, invoke, u32),
        st.builds(xdlms.GetRequestWithList, invoke, several(selection)),
        st.builds(xdlms.GetResponseNormal, invoke, result),
        st.builds(xdlms.GetResponseWithDatablock, invoke, u32, flag, short | refusal),
        st.builds(xdlms.GetResponseWithList, invoke, several(result)),
        st.builds(xdlms.SetRequestNormal, invoke, attribute, cosem_data(), access),
        st.builds(xdlms.SetRequestWithFirstDatablock, invoke, attribute, block, access),
        st.builds(xdlms.SetRequestWithDatablock, invoke, block),
        st.builds(xdlms.SetRequestWithList, invoke, several(selection), several(cosem_data())),
        st.builds(xdlms.SetRequestWithListAndFirstDatablock, invoke, several(selection), block),
        st.builds(xdlms.SetResponseNormal, invoke, refusal),
        st.builds(xdlms.SetResponseDatablock, invoke, u32),
        st.builds(xdlms.SetResponseLastDatablock, invoke, refusal, u32),
        st.builds(xdlms.SetResponseLastDatablockWithList, invoke, several(refusal), u32),
        st.builds(xdlms.SetResponseWithList, invoke, several(refusal)),
        st.builds(xdlms.ActionRequestNormal, invoke, method, st.none() | cosem_data()),
        st.builds(xdlms.ActionRequestNextPblock, invoke, u32),
        st.builds(xdlms.ActionRequestWithList, invoke, several(method), several(cosem_data())),
        st.builds(xdlms.ActionRequestWithFirstPblock, invoke, method, block),
        st.builds(xdlms.ActionRequestWithListAndFirstPblock, invoke, several(method), block),
        st.builds(xdlms.ActionRequestWithPblock, invoke, block),
        st.builds(xdlms.ActionResponseNormal, invoke, outcome),
        st.builds(xdlms.ActionResponseWithPblock, invoke, block),
        st.builds(xdlms.ActionResponseWithList, invoke, several(outcome)),
        st.builds(xdlms.ActionResponseNextPblock, invoke, u32),
        st.builds(xdlms.DataNotification, long_invoke, cosem_data(), moment),
        st.builds(xdlms.DataNotification, long_invoke, cosem_data(), clock_times(), st.just(True)),
        st.builds(xdlms.DataNotificationConfirm, long_invoke, moment),
        st.builds(xdlms.EventNotificationRequest, attribute, cosem_data(), moment),
        st.builds(xdlms.GeneralBlockTransfer, u16, u16, short, flag, flag, st.integers(0, 63)),
        st.builds(xdlms.CipheredApdu, st.sampled_from([*codes.GLO_TAGS.values(), *codes.DED_TAGS.values()]), content),
        st.builds(
            xdlms.GeneralCipheredApdu,
            st.sampled_from([xdlms.ApduTag.GENERAL_GLO_CIPHERING, xdlms.ApduTag.GENERAL_DED_CIPHERING]),
            short,
            content,
        ),
        st.builds(xdlms.GeneralCiphering, short, short, short, short, short, key_info, content),
    )


def acse_apdus():
    """Any ACSE APDU that can be written."""
    short, number = st.none() | st.binary(max_size=20), st.none() | st.integers(-(2**31), 2**31)
    context = st.integers(0, 127).map(acse.ApplicationContext)
    mechanism = st.none() | st.integers(0, 127).map(acse.AuthenticationMechanism)
    value = st.none() | st.builds(acse.AuthenticationValue, st.binary(max_size=64), st.sampled_from([0x80, 0x81]))
    diagnostic = st.one_of(
        st.builds(acse.Diagnostic, st.just(acse.DiagnosticSource.ACSE_SERVICE_USER), octets.map(acse.UserDiagnostic)),
        st.builds(
            acse.Diagnostic, st.just(acse.DiagnosticSource.ACSE_SERVICE_PROVIDER), octets.map(acse.ProviderDiagnostic)
        ),
    )
    unknown = st.lists(st.builds(Tlv, st.sampled_from([0xB1, 0x92, 0xBF1F]), st.binary(max_size=8)), max_size=2)
    others = unknown.map(tuple)
    return st.one_of(
        st.builds(
            acse.Aarq,
            context,
            short,
            short,
            mechanism,
            value,
            short,
            short,
            short,
            number,
            number,
            short,
            number,
            number,
            short,
            short,
            others,
        ),
        st.builds(
            acse.Aare,
            context,
            octets.map(acse.AssociationResult),
            diagnostic,
            short,
            short,
            mechanism,
            value,
            short,
            short,
            number,
            number,
            short,
            short,
            others,
        ),
        st.builds(acse.Rlrq, st.none() | octets.map(acse.ReleaseRequestReason), short, others),
        st.builds(acse.Rlre, st.none() | octets.map(acse.ReleaseResponseReason), short, others),
    )


# --- M-Bus: data records ----------------------------------------------------------------------------------------------


@st.composite
def mbus_record_octets(draw):
    """A well-formed data record of EN 13757-3: any data field, DIFE and VIFE chain, of which most codes exist."""
    sizes = (0, 1, 2, 3, 4, 4, 6, 8, 0, 1, 2, 3, 4, None, 6)
    field = draw(st.integers(0, 0xE))
    low = st.integers(0, 0x7F)
    difs = [field | draw(st.integers(0, 7)) << 4, *draw(st.lists(low, max_size=3))]
    vif = draw(low.filter(lambda code: code != 0x7C))
    vifs = [vif, *draw(st.lists(low, max_size=3))]
    header = b"".join(bytes([octet | 0x80 for octet in chain[:-1]] + chain[-1:]) for chain in (difs, vifs))
    size = sizes[field]
    if size is not None:
        return header + draw(st.binary(min_size=size, max_size=size))
    count, lvar = draw(st.tuples(st.integers(0, 9), st.sampled_from((0x00, 0xC0, 0xD0, 0xE0))))
    return header + bytes((lvar + count,)) + draw(st.binary(min_size=count, max_size=count))
