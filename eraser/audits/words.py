"""What an audit's report says around the record's own words, in Chinese and English."""

from eraser.audits.reporting import percent
from eraser.certificates.pdf.words import Language
from eraser.domain.audit import CONFORMING, ByAql, ByDefectRate, Criterion, DriveResult

WORDS: dict[str, tuple[str, str]] = {
    "title": ("数据清除审核报告", "Audit of data sanitization"),
    "accepted": ("接收", "ACCEPTED"),
    "rejected": ("不接收", "REJECTED"),
    "accepted-means": (
        "不合格数未超过接收数，且无致命不合格",
        "No more nonconforming than accepted, and none that is critical",
    ),
    "rejected-means": (
        "不合格数超过接收数，或存在致命不合格",
        "More nonconforming than accepted, or one that is critical",
    ),
    "audit": ("审核编号", "Audit"),
    "done": ("完成时间", "Done"),
    "auditor": ("审核方", "Auditor"),
    "n": ("样本量 n", "Sampled n"),
    "ac": ("接收数 Ac", "Accepts Ac"),
    "re": ("拒收数 Re", "Rejects Re"),
    "found": ("不合格数", "Found"),
    "critical": ("其中致命", "Critical"),
    "drives-read": ("复读硬盘", "Drives read"),
    "drawn": ("抽样", "What was drawn"),
    "by-aql": ("ISO 2859-1，AQL {}，检验水平 {}，{}", "ISO 2859-1, AQL {}, level {}, {}"),
    "normal": ("正常检验", "normal inspection"),
    "tightened": ("加严检验", "tightened inspection"),
    "reduced": ("放宽检验", "reduced inspection"),
    "by-rate": ("超几何分布，不合格率 {} %，Ac {}", "hypergeometric, {} % nonconforming, Ac {}"),
    "log": ("透明日志", "Log"),
    "days": ("签发时间", "Issued"),
    "criterion": ("抽样方案", "Sampling"),
    "population": ("总体", "Population"),
    "not-shown": ("份未出示，按属于此期间计", "not shown, counted as of these days"),
    "nonce": ("审核方随机数", "Auditor's nonce"),
    "root": ("日志根哈希", "Root of the log"),
    "seed": ("种子", "Seed"),
    "as-of": ("撤销情况截至", "Withdrawals as of"),
    "entry": ("条目", "entry"),
    "entries": ("个条目", "entries"),
    "follows": ("结论", "What follows"),
    "bound": (
        "在 {} % 的置信水平下，{} 份证书中不合格者至多 {} 份（{} %）。",
        "With {} % confidence, of {} certificates at most {} ({} %) are nonconforming.",
    ),
    "bound-drives": (
        "此结论针对证书。硬盘复读 {} 块；仅当样本中的硬盘全部复读时，结论才同样适用于硬盘。",
        "This is of the certificates. {} drives were read again; it is true of drives only where all of the sample's were.",
    ),
    "bound-extents": (
        "其中 {} 块只复读抽取的区段：在 95 % 的置信水平下，每块硬盘内容不符的区段至多占 {} %。",
        "Of {} of them single extents were read: with 95 % confidence at most {} % of a drive's extents hold something else.",
    ),
    "extents": ("区段 {} / {}", "extents {} of {}"),
    "findings": ("不合格项", "Findings"),
    "none": ("无", "None"),
    "sample": ("样本", "Sample"),
    "certificate": ("证书", "Certificate"),
    "result": ("结果", "Result"),
    "drive": ("硬盘", "Drive"),
    "proof": ("真伪查验", "Proof"),
    "keys": ("签名密钥", "Signed by key"),
    "how": (
        "本 PDF 带签名（PAdES）；结论以所附 audit.json 的签名为准：eraser audit show audit.json --keys 审核方公钥",
        "This PDF is signed (PAdES); what counts is the record attached: eraser audit show audit.json --keys THE AUDITOR'S KEY",
    ),
    "page": ("第 {} 页，共 {} 页", "Page {} of {}"),
}

RESULTS: dict[str, tuple[str, str]] = {
    "conforming": ("合格", "conforming"),
    "missing": ("未出示", "not shown by the plant"),
    "altered": ("已被改动", "altered"),
    "contradictory": ("自相矛盾", "contradicts itself"),
    "duplicate": ("同一作业有两份", "two of one job"),
    "unknown-key": ("密钥不受信任", "signed by an unknown key"),
    "key-not-valid-then": ("当时密钥无效", "its key did not sign then"),
    "not-in-log": ("不在日志中", "not in the log"),
    "log-rewritten": ("日志被改写", "the log was rewritten"),
    "not-the-logged": ("与日志所载不符", "not the one in the log"),
    "withdrawn": ("已撤销", "withdrawn since"),
    "malformed": ("格式错误", "malformed"),
    "unsupported": ("版本不受支持", "of an unknown version"),
    "drive-holds": ("内容相符", "holds"),
    "drive-differs": ("内容不符", "holds something else"),
    "drive-hash-differs": ("哈希不符", "its hashes differ"),
    "independent-reader-differs": ("独立读取不符", "the other reader found something else"),
    "drive-unreadable": ("无法读取", "cannot be read"),
    "drive-not-read-to-the-end": ("未读完", "was not read to the end"),
    "drive-written-meanwhile": ("读取期间被写入", "was written meanwhile"),
    "drive-as-its-failed-certificate": ("与其未通过证书相符", "as its failed certificate says"),
}
"""By code; one that is not here is shown as it is."""


class AuditWords:
    """One language first, the other beside it where there is room."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._first = 0 if language is Language.CHINESE else 1

    def __getitem__(self, name: str) -> str:
        return WORDS[name][self._first]

    def other(self, name: str) -> str:
        """In the other language."""
        return WORDS[name][1 - self._first]

    def beside(self, name: str) -> str:
        """English beside Chinese; nothing beside English."""
        return WORDS[name][1] if self.language is Language.CHINESE else ""

    def criterion(self, criterion: Criterion) -> str:
        """Such as `ISO 2859-1, AQL 0.65, level II, normal inspection`."""
        match criterion:
            case ByAql():
                return self["by-aql"].format(criterion.aql, criterion.level.value, self[criterion.severity.value])
            case ByDefectRate():
                return self["by-rate"].format(percent(criterion.defect_rate_ppm), criterion.accepts)

    def result(self, code: str) -> str:
        """What a code means, and the code where something is wrong."""
        if code not in RESULTS:
            return code
        said = RESULTS[code][self._first]
        return said if code in (CONFORMING, DriveResult.HOLDS.value) else f"{said} ({code})"
