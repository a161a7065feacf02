"""Month names of other languages, for `locale:`: as they are written in full, and cut short.

Short forms are derived: every beginning of three letters or more that only one month has (`janv`, `juil`),
with or without a point. Typed by hand; every wide and abbreviated name that the Unicode CLDR has for these
languages (Babel 2.19, both contexts) is read as its month. Other forms in use (`Mrz`) are listed, too.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

ENGLISH: Final = "en"
_FULL_NAMES: Final = {
    ENGLISH: "january february march april may june july august september october november december",
    "da": "januar februar marts april maj juni juli august september oktober november december",
    "de": "januar|jänner februar märz|mrz april mai juni juli august september oktober november dezember",
    "es": (
        "enero febrero marzo abril mayo junio julio agosto septiembre|setiembre octubre noviembre diciembre"
    ),
    "fi": (
        "tammikuu|tammikuuta helmikuu|helmikuuta maaliskuu|maaliskuuta huhtikuu|huhtikuuta toukokuu"
        "|toukokuuta kesäkuu|kesäkuuta heinäkuu|heinäkuuta elokuu|elokuuta syyskuu|syyskuuta"
        " lokakuu|lokakuuta marraskuu|marraskuuta joulukuu|joulukuuta"
    ),
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "id": "januari februari maret april mei juni juli agustus|agt september oktober november desember",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "nb": "januar februar mars april mai juni juli august september oktober november desember",
    "nl": "januari februari maart|mrt april mei juni juli augustus september oktober november december",
    "pl": (
        "stycznia|styczeń lutego|luty marca|marzec kwietnia|kwiecień maja|maj czerwca|czerwiec lipca|lipiec"
        " sierpnia|sierpień września|wrzesień października|październik listopada|listopad grudnia|grudzień"
    ),
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "ru": (
        "января|январь февраля|февраль марта|март апреля|апрель мая|май июня|июнь июля|июль августа|август"
        " сентября|сентябрь октября|октябрь ноября|ноябрь декабря|декабрь"
    ),
    "sv": "januari februari mars april maj juni juli augusti september oktober november december",
    "tr": "ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
}
LOCALES: Final = tuple(_FULL_NAMES)
_SHORTEST: Final = 3


def folded_name(text: str) -> str:
    """A month's name without regard to case, accents and points: `Févr.` and `fevr` are one."""
    parts = unicodedata.normalize("NFD", text.lower().replace("ı", "i"))
    return "".join(part for part in parts if part.isalnum())


@cache
def month_numbers(locale: str) -> dict[str, int]:
    """The number of each month by its folded name, full or cut short. Raises KeyError for other locales."""
    found: dict[str, int] = {}
    ambiguous: set[str] = set()
    for number, names in enumerate(_FULL_NAMES[locale].split(), 1):
        for name in map(folded_name, names.split("|")):
            for end in range(_SHORTEST, len(name) + 1):
                if found.setdefault(name[:end], number) != number:
                    ambiguous.add(name[:end])
    return {name: number for name, number in found.items() if name not in ambiguous}


def locale_named(text: str) -> str | None:
    """The language of `fr`, `fr-FR` or `de_AT`; None if its month names are not known here."""
    language = text.strip().casefold().replace("_", "-").partition("-")[0]
    known = {"in": "id", "no": "nb", "nn": "nb"}.get(language, language)
    return known if known in LOCALES else None


def locales_of(word: str) -> list[str]:
    """The languages in which a word is the name of a month."""
    return [locale for locale in LOCALES if folded_name(word) in month_numbers(locale)]
