"""What the page says around the certificate's own words, in Chinese and English."""

from enum import StrEnum

from eraser.domain.drive import Media, SerialSource, Transport
from eraser.domain.plan import Level
from eraser.domain.program import Verification


class Language(StrEnum):
    """The page's first language (BCP 47). A Chinese page bears English beside its labels; an English one a Chinese title."""

    CHINESE = "zh-CN"
    ENGLISH = "en"


WORDS: dict[str, tuple[str, str]] = {
    "title": ("数据清除证书", "Certificate of data sanitization"),
    "passed": ("通过", "PASSED"),
    "failed": ("未通过", "FAILED"),
    "passed-means": (
        "全盘已按要求覆写，回读结果一致",
        "All of it was overwritten as asked, and what was read back agrees",
    ),
    "failed-means": (
        "本盘不得视为已清除：旧数据可能仍可读取",
        "Do not treat this drive as erased: old data may still be readable",
    ),
    "drive": ("存储介质", "Drive"),
    "work": ("清除方法", "Sanitization"),
    "passes": ("覆写与验证", "Passes and verification"),
    "rulebooks": ("各标准是否具备证据", "Rulebooks and their evidence"),
    "rulebooks-mean": (
        "“✓”指证据与该标准的覆写模式相符。各标准据二手资料解读，不作符合性声明。",
        "✓: the evidence shows the pattern of this rulebook, as known from secondary sources. No compliance is claimed.",
    ),
    "claim-passes": ("覆写 {} 遍（随机 {} 遍）", "passes: {}, random: {}"),
    "claim-full": ("末遍后全盘回读一致", "read back in full after the last"),
    "claim-sampled": ("末遍后抽样回读一致", "read back by samples after the last"),
    "claim-missing": ("不主张，缺：", "Not claimed; missing: "),
    "left": ("例外", "Exceptions"),
    "lot-title": ("批次清除汇总", "Summary of a lot"),
    "lot": ("批次", "Lot"),
    "made": ("制表（UTC）", "Made (UTC)"),
    "drives-received": ("收到", "Received"),
    "withdrawn": ("已撤回", "Withdrawn"),
    "replaced": ("已被取代", "Replaced"),
    "without-certificate": ("尚无证书", "No certificate"),
    "capacity-passed": ("通过容量", "Passed, capacity"),
    "number": ("序", "No."),
    "claims": ("标准证据", "Evidence"),
    "lot-passes": ("覆写 {} 遍", "passes: {}"),
    "lot-none": ("未回读", "not read back"),
    "lot-sampled": ("抽样回读", "read back by samples"),
    "lot-full": ("全盘回读", "read back in full"),
    "log-entry": ("日志条目", "Log entry"),
    "page-of": ("第 {} 页，共 {} 页", "Page {} of {}"),
    "lot-empty": ("本批次尚无证书。", "This lot has no certificate yet."),
    "lot-means": (
        "本汇总仅为索引：每块盘以其证书为准（eraser certificate verify）。“已被取代”指同一块盘在本批次中有更新的证书。"
        "“✓”指证据与该标准的覆写模式相符，不作符合性声明。附件 lot.json 载有各证书的摘要值。",
        "This is an index: what counts for each drive is its certificate (eraser certificate verify). Replaced: a later "
        "certificate of the same drive is in this lot. ✓: the evidence shows the pattern of that rulebook; no compliance is "
        "claimed. The attached lot.json has each certificate's digest.",
    ),
    "who": ("责任与流转", "Responsibility"),
    "proof": ("真伪查验", "Proof"),
    "manufacturer": ("制造商", "Manufacturer"),
    "model": ("型号", "Model"),
    "serial": ("序列号", "Serial number"),
    "property-tag": ("资产编号", "Property tag"),
    "names": ("全球名称", "World-wide name"),
    "firmware": ("固件", "Firmware"),
    "kind": ("接口与介质", "Interface, medium"),
    "capacity": ("容量", "Capacity"),
    "sectors": ("扇区（字节）", "Sectors (bytes)"),
    "standard": ("标准", "Standard"),
    "method": ("方法", "Method"),
    "level": ("级别", "Level"),
    "basis": ("依据", "Source"),
    "claim": ("声明", "Claim"),
    "asked": ("要求", "asked"),
    "reached": ("达到", "reached"),
    "not-reached": ("未达到", "none reached"),
    "overwrite": ("数据覆写", "overwriting"),
    "step": ("步骤", "Step"),
    "content": ("内容", "Content"),
    "began": ("开始（UTC）", "Began (UTC)"),
    "took": ("用时", "Took"),
    "bytes": ("字节", "Bytes"),
    "speed": ("平均速度", "Mean speed"),
    "result": ("结果", "Result"),
    "pass": ("覆写", "Pass"),
    "reading": ("回读", "Read"),
    "random": ("随机", "random"),
    "constant": ("固定", "constant"),
    "complete": ("完成", "complete"),
    "incomplete": ("未完成", "not complete"),
    "matches": ("一致", "as written"),
    "differs": ("个扇区不符", "sectors differ"),
    "bad-bytes": ("字节失败", "bytes failed"),
    "rest": ("其余{}", "the rest {}"),
    "more-rows": ("步未列出，见附件", "more, in the attached file"),
    "no-reading": ("写入后未作回读", "Nothing was read back"),
    "bound": (
        "抽样 {1} 处；95% 置信度下未清除比例上限 {0}",
        "Read at {1} places; with 95 % confidence at most {0} is not erased",
    ),
    "merkle": ("回读内容的 Merkle 根", "Merkle root of what was read back"),
    "nothing-left": ("无：没有写入或读取失败的字节", "None: no byte failed to be written or read"),
    "not-written": ("未能写入", "Not written"),
    "not-read": ("未能读取", "Not readable"),
    "hidden": ("隐藏区域未清除", "Hidden from the host, not erased"),
    "abandoned": ("中止", "Given up"),
    "strip-start": ("首", "start"),
    "strip-end": ("尾", "end"),
    "operator": ("操作员", "Operator"),
    "witness": ("见证人", "Witness"),
    "station": ("工位", "Station"),
    "tool": ("软件", "Tool"),
    "time": ("起止（UTC）", "Began, ended (UTC)"),
    "duration": ("净用时", "Time at work"),
    "source": ("来源", "Source"),
    "destination": ("去向", "Destination"),
    "confidentiality": ("密级（前 → 后）", "Confidentiality (before → after)"),
    "signature-line": ("签字 / 日期", "Signature, date"),
    "certificate": ("证书编号", "Certificate"),
    "job": ("作业编号", "Job"),
    "issued": ("签发（UTC）", "Issued (UTC)"),
    "digest": ("SHA-256", "SHA-256"),
    "key": ("签名密钥", "Signing key"),
    "signature": ("Ed25519 签名", "Ed25519 signature"),
    "how": (
        "经签名的证书原文（JSON）已附在本文件中。查验：eraser certificate verify 本文件 --keys 机构公钥.pem。"
        "打印件仅为副本，以附件为准。",
        "The signed certificate itself (JSON) is attached to this file. To check it: eraser certificate verify THIS_FILE "
        "--keys plant.pem. On paper this page is a copy; what counts is the attached file.",
    ),
    "scan": ("扫码查验", "Scan to check"),
    "cut": ("…（全文见附件）", "… (in full in the attached file)"),
    "more-reasons": ("项其他原因，见附件", "more reasons, in the attached file"),
    "interrupted": ("中断 {} 次", "interruptions: {}"),
    "enclosure": ("外壳的序列号", "the enclosure's"),
    **{
        f"media-{item}": words
        for item, words in {
            Media.MAGNETIC: ("磁介质", "magnetic"),
            Media.FLASH: ("半导体（闪存）", "flash"),
            Media.UNKNOWN: ("介质不明", "medium unknown"),
        }.items()
    },
    **{
        f"level-{item}": words
        for item, words in {
            Level.CLEAR: ("Clear（清除）", "Clear"),
            Level.PURGE: ("Purge（净化）", "Purge"),
        }.items()
    },
    **{
        f"verification-{item}": words
        for item, words in {
            Verification.NONE: ("无", "none"),
            Verification.SAMPLED: ("抽样", "sampled"),
            Verification.FULL: ("全盘", "full"),
        }.items()
    },
}

TRANSPORTS = {
    Transport.SATA: "SATA",
    Transport.SAS: "SAS",
    Transport.NVME: "NVMe",
    Transport.USB: "USB",
    Transport.MMC: "MMC",
}
"""The others are written as they are."""
SERIALS_OF_OTHERS = {SerialSource.ENCLOSURE: "enclosure"}

REASONS = {
    "abandoned": "作业被中止",
    "flush-assumed": "无法证明数据已落到介质",
    "foreign-write": "有其他程序写入过本盘",
    "hash-missing": "回读内容未按计划取哈希",
    "in-use": "回读时本盘正被其他程序使用",
    "interrupted": "作业中断，本盘不在视线内",
    "markers-missing": "地址标记未写入或未读回",
    "mismatch": "部分扇区与写入内容不符",
    "never-held": "从未独占本盘",
    "no-capacity": "本盘没有可覆写的扇区",
    "not-verified": "部分字节无法回读",
    "not-written": "部分字节无法写入",
    "passes-missing": "覆写遍数不足",
    "too-many-bad-extents": "坏区过多",
    "too-many-reallocated-sectors": "重映射扇区过多",
    "too-many-retries": "重试过多",
    "too-slow": "速度过低",
    "unchecked": "中断前写入的内容未经复查",
    "use-unknown": "不知本盘是否被他人使用",
    "verification-incomplete": "回读未完成",
    "verification-missing": "缺少要求的回读验证",
}
"""What a reason's code says in Chinese; the certificate's own English sentence stands beside it."""

MISSING = {
    "complement-pass": "与前一遍互补的覆写",
    "drive": "真实硬盘（文件或虚拟盘之下的介质不明）",
    "hidden-area": "隐藏区域的覆写",
    "hidden-area-unknown": "有无隐藏区域的查询结果",
    "passed": "“通过”的结果",
    "passes": "足够的覆写遍数",
    "purge-technique": "盘自身的净化命令（主机覆写达不到 Purge）",
    "random-pass": "随机覆写",
    "samples": "第 4.7 节要求的抽样",
    "verification": "末遍之后的回读验证",
}
"""What a claim that does not hold is missing, by its code, in Chinese."""


class Words:
    """The words in one language, and beside them those of the other."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._first = 0 if language is Language.CHINESE else 1

    def __getitem__(self, key: str) -> str:
        return WORDS[key][self._first]

    def beside(self, key: str) -> str:
        """English beside a Chinese label; nothing beside an English one, nor where both are the same."""
        chinese, english = WORDS[key]
        return english if self.language is Language.CHINESE and chinese != english else ""

    def other(self, key: str) -> str:
        """In the other language, whichever that is: for the title and the outcome, which anyone must be able to read."""
        return WORDS[key][1 - self._first]

    def listed(self, *parts: str) -> str:
        """Those of them that are not empty, with this language's comma."""
        return ("，" if self.language is Language.CHINESE else ", ").join(part for part in parts if part)
