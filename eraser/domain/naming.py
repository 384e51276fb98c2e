"""Whom free texts may name: companies where the ledger has to know both parties, people nowhere. Pure.

Records are signed, backed up and kept for years: what stands in them outlives the vault. No rule knows every name; these refuse
what can be told, and say what to write instead. What was written before is read as it is.
"""

import re

from eraser.errors import UsageError

_ROLE = re.compile(r"[a-z]{1,20}(-[a-z]{1,20}){0,3}-[0-9]{1,6}")
_MARKS = {
    "an e-mail address": re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+"),
    # GB 11643: six digits of a region, the day of birth, three digits, a check character.
    "the number of an identity card": re.compile(
        r"(?<![0-9A-Za-z])\d{6}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![0-9A-Za-z])"
    ),
    "a telephone number": re.compile(
        r"(?<![0-9A-Za-z])(?:1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?![0-9A-Za-z])|\+\d{1,3}(?:[ -]?\(?\d{1,5}\)?){2,6})"
    ),
    "a person's title": re.compile(r"先生|女士|小姐|太太|\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau)\b\.?\s*[A-Z]"),
}
_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱林何郭罗梁宋郑谢韩唐冯董萧程曹袁邓许傅沈"
    "曾彭吕苏蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范姚谭廖邹熊陆郝孔崔邱秦侯邵孟"
)
"""The commonest."""
_NAME = re.compile(f"[{_SURNAMES}][\u4e00-\u9fff]{{1,2}}")
_HOUSE = "厂店局院所校社行部站司坊"
"""What the names of houses end with."""


def expect_role(text: str, what: str) -> str:
    """The code of a role, or nothing. Raises UsageError, which does not repeat it."""
    if text and not _ROLE.fullmatch(text):
        raise UsageError(
            f"the {what} is a role's code, such as witness-2, and never a name: it stands in a signed record",
            remedy="Keep apart from it who that was.",
        )
    return text


def expect_nobody(text: str, what: str) -> str:
    """The text, if nothing in it is a person's as far as can be told. Raises UsageError, which does not repeat it."""
    for mark, pattern in _MARKS.items():
        if pattern.search(text):
            raise UsageError(
                f"the {what} holds {mark}, and would outlive the customer's details",
                remedy="Say it without: a person's details belong in the vault (`eraser vault add`, or at the counter).",
            )
    return text


def expect_house(text: str, what: str) -> str:
    """The same of a party to a trade: a company, a school, a number of an order. Raises as `expect_nobody`."""
    whole = text.strip()
    if _NAME.fullmatch(whole) and whole[-1] not in _HOUSE:
        raise UsageError(
            f"the {what} looks like a private person's name, and would outlive the customer's details",
            remedy="Write a company's full name or the number of the order; for a private person: 个人. Their details belong "
            "in the vault (`eraser vault add`, or at the counter).",
        )
    return expect_nobody(text, what)
