"""Jurisdictions: which country codes exist, and which countries EU and EEA stand for."""

from collections.abc import Iterable
from typing import Final

from sovereign.api.conditions import Reason
from sovereign.plan.verdict import Verdict

# Source: Article 52 of the Treaty on European Union; codes as in ISO 3166-1. The Union's own texts write EL
# for Greece;
# ISO writes GR, and so do the facts on nodes.
EU: Final = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()  # noqa: SIM905 - see KNOWN
)
# Source: Agreement on the European Economic Area, Article 126.
EEA: Final = EU | {"IS", "LI", "NO"}
GROUPS: Final = {"EU": EU, "EEA": EEA}

# Source: ISO 3166-1, officially assigned alpha-2 codes.
KNOWN: Final = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW
    BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI
    FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN
    IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME
    MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF
    PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV
    SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE
    YT ZA ZM ZW
    """.split()  # noqa: SIM905 - a list of 249 literals would be longer, not clearer
)

_MEANT: Final = {
    "EL": "Greece is GR",
    "UK": "the United Kingdom is GB",
}


def expand(codes: Iterable[str]) -> tuple[str, ...]:
    """The countries that ``codes`` stand for, sorted; EU and EEA written out.

    A code that does not exist stands for no country: it opens nothing, and `unknown` reports it.
    """
    countries: set[str] = set()
    for code in codes:
        countries |= GROUPS.get(code, {code} & KNOWN)
    return tuple(sorted(countries))


def unknown(codes: Iterable[str], rule: str) -> Verdict:
    """Whether every one of ``codes`` exists; ``rule`` is the field they stand in."""
    for code in codes:
        if code not in GROUPS and code not in KNOWN:
            meant = _MEANT.get(code, "write the country's two-letter code, for example FR, or EU, or EEA")
            message = f"{rule}: {code} is not an ISO 3166-1 code; {meant}"
            return Verdict(False, rule, Reason.INVALID_SPEC, message, code)
    return Verdict(True, rule, Reason.POLICY_ACCEPTED)
