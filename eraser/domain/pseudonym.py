"""Names that go into what is signed and can never be taken back: they are of roles and organisations, not of persons. Pure.

Nobody can tell for sure. What is long or can't be printed is refused; what looks like a person's name is let pass with a
warning, for a company may be called like somebody.
"""

import re

from eraser.domain.printable import is_printable
from eraser.errors import UsageError

MAX_CHARACTERS = 64
# The hundred commonest family names are those of six in seven people in China.
_FAMILY_NAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹"
    "熊白孟秦邱侯江尹薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"
)
_CHINESE = re.compile(r"[\u4e00-\u9fff]{2,4}|[\u4e00-\u9fff]{1,2}[·•][\u4e00-\u9fff]+")
_WORDS = re.compile(r"(?:(?:Mr|Mrs|Ms|Dr)\.? )?[A-Z][A-Za-z'-]+(?: [A-Z]\.?)?(?: [A-Z][A-Za-z'-]+){1,2}")
_ROLES = re.compile(
    r"(?i)\b(?:audit\w*|quality|inspect\w*|control\w*|assess\w*|ltd|llc|inc|gmbh|group|company|services?|station|team|shift|"
    r"lab\w*|office|department|china|international|operator|clerk|checker)\b"
)


def role_named(name: str) -> str:
    """The name without what is around it. Raises UsageError for one that is empty, too long, or can't be printed."""
    found = name.strip()
    if not found or len(found) > MAX_CHARACTERS or not is_printable(found):
        raise UsageError(
            f"the name of a role or an organisation has 1 to {MAX_CHARACTERS} characters that can be printed",
            remedy="Give one such as auditor-3 or auditors.example, never a person's name.",
        )
    return found


def may_name_a_person(name: str) -> bool:
    """Whether it looks like somebody's own name rather than a role's."""
    found = name.strip()
    if "@" in found and "." in found.rpartition("@")[2]:
        return True  # an address for mail
    if _CHINESE.fullmatch(found):
        return found[0] in _FAMILY_NAMES or "·" in found or "•" in found
    return bool(_WORDS.fullmatch(found)) and not _ROLES.search(found)
