r"""A value and its unit: 10 cm, \$5.50, 90°, 50%, 12 square feet, 45 mph, 3 children's tickets.

A unit is never converted and never dropped: whether 10 cm may equal 10 is decided where two answers are compared.
Letters that could be variables are units only inside \text{…}: "2 s" is twice s, "2 \text{ s}" two seconds.
"""

import re

from passatn.verify.math.clean import CLOSE_TEXT, OPEN_TEXT

_ALIASES = {
    "cm": "centimeter centimetre", "mm": "millimeter millimetre", "km": "kilometer kilometre",
    "m": "meter metre", "dm": "decimeter decimetre", "in": "inch inche", "ft": "foot feet", "yd": "yard", "mi": "mile",
    "kg": "kilogram", "g": "gram gm", "mg": "milligram", "lb": "pound", "oz": "ounce", "l": "liter litre",
    "ml": "milliliter millilitre", "gal": "gallon", "s": "second sec", "min": "minute", "h": "hour hr", "day": "",
    "week": "", "month": "", "year": "yr", "mph": "mi/h miph", "km/h": "kmph kph", "dollar": "usd buck", "cent": "¢",
    "euro": "eur", "yen": "", "rupee": "rs", "degree": "deg", "radian": "rad", "unit": "", "point": "", "percent": "",
    "acre": "", "hectare": "", "people": "person", "man": "men", "woman": "women", "child": "children", "°c": "",
    "°f": "", "watt": "w", "newton": "n", "joule": "j", "hertz": "hz", "ohm": "", "volt": "v", "k": "kelvin",
    "square": "sq", "cubic": "cu", "way": "", "penny": "pennie", "quarter": "", "dime": "", "nickel": "",
    "am": "", "pm": "",
}  # fmt: skip
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases.split())}
_CURRENCIES = {r"\$": "dollar", "$": "dollar", "€": "euro", "£": "pound sterling", "¥": "yen"}
_PREFIX = re.compile(r"(-?)\s*(\\\$|[€£¥])\s*(-?)\s*(?=[\d.\\(])")
_MARKED = re.compile(rf"{OPEN_TEXT}([^{OPEN_TEXT}{CLOSE_TEXT}\d]*){CLOSE_TEXT}\s*(?:\^\{{([23])\}}|\^([23]))?")
_RAW = re.compile(
    r"(?<![\\a-zA-Z{_^⟦])((?:c|k)?m/s|m/min|g/m?[lL]|[a-zA-Z]{2,}\.?(?:(?:\s+|\s*/\s*)[a-zA-Z]+\.?)*)\s*"
    r"(?:\^\{([23])\})?"
)
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|sec|csc|cot)(?![a-zA-Z]).*°")
_NOT_UNITS = re.compile(r"\b(?:and|or|is|are|the|if|for|when|where|because|so|not|to|of|with|than)\b")


def split_unit(text: str) -> tuple[str, str | None]:
    """The text of the value, and the name of the unit behind it or the currency before it; None without one."""
    if match := _PREFIX.match(text):
        value = match[1] + match[3] + text[match.end() :]
        return split_unit_after(value, _CURRENCIES[match[2]])
    return split_unit_after(text, None)


def split_unit_after(text: str, currency: str | None) -> tuple[str, str | None]:
    value, unit = _suffix(text)
    if unit is None or not _is_value(value):
        return text, currency
    return value, unit if currency in (None, unit) else f"{currency} {unit}"


def canonical_unit(words: str, power: str | None = None) -> str:
    """One name for all ways to write a unit: "square inches", "sq. in." and "inches^2" are "square in"."""
    words = re.sub(r"\s*/\s*|\s+per\s+", "/", words.lower().replace("'", "").strip(" ."))
    words = re.sub(r"(?<=\w)\.(?=\w|\s|/|$)", "", words)
    names = [" ".join(_canonical_word(word) for word in part.split()) for part in words.split("/")]
    if power is not None:
        names[-1] = {"2": "square ", "3": "cubic "}[power] + names[-1]
    unit = "/".join(names)
    return _CANONICAL.get(unit, unit)


def is_unit(word: str) -> bool:
    """Is this a unit of measure that needs no \\text around it? Single letters are variables."""
    return len(word) > 1 and (word.lower() in _CANONICAL or _singular(word.lower()) in _CANONICAL)


def _suffix(text: str) -> tuple[str, str | None]:
    if text.endswith("%"):
        return text[:-1].rstrip(), "percent"
    if _TRIGONOMETRIC.search(text):
        return text, None
    if match := re.search(r"°\s*(?:\\?(?:⟦\s*)?([CF])(?:\s*⟧)?)?$", text):
        return text[: match.start()].rstrip(), f"°{match[1].lower()}" if match[1] else "degree"
    if text.endswith("¢"):
        return text[:-1].rstrip(), "cent"
    for pattern in (_MARKED, _RAW):
        for match in pattern.finditer(text):
            if match.end() == len(text) and match.start() > 0:
                words, power = match[1], match[2] or (match[3] if pattern is _MARKED else None)
                if words.strip() and _may_be_unit(words, text[: match.start()], pattern is _MARKED):
                    return text[: match.start()].rstrip(), canonical_unit(words, power)
    return text, None


def _may_be_unit(words: str, value: str, is_marked: bool) -> bool:
    if _NOT_UNITS.search(words.lower()):
        return False
    if is_marked:
        return True
    if not re.search(r"[\d})°!]\s*$", value):
        return False
    first = re.split(r"[\s/.]+", words)[0]
    return is_unit(first) or "/" in words or (value.endswith(" ") and len(first) > 3 and words.islower())


def _is_value(text: str) -> bool:
    """A unit stands behind a number or an expression, not behind words or a comparison."""
    bare = re.sub(r"\\[a-zA-Z]+", "", text)
    return bool(text.strip()) and OPEN_TEXT not in text and not re.search(r"[a-zA-Z]{4,}|[=<>:]", bare)


def _canonical_word(word: str) -> str:
    return _CANONICAL.get(word) or _CANONICAL.get(_singular(word)) or _singular(word)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word
