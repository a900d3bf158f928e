"""Every reason code of a validation, in the words of people and in those of ETSI.

A row says which indication and sub-indication of EN 319 102-1 §5.1.3 a code stands for (reported as
TS 119 102-2 has it) and what it means in three languages. A code is stable for ever; a sentence may
be improved. Nothing but a row with TOTAL-PASSED is ever shown in green.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from signing.models import Validation
from signing.trust.checks import worst

Main = Literal["TOTAL-PASSED", "INDETERMINATE", "TOTAL-FAILED"]
PASSED: Final = "TOTAL-PASSED"
UNCERTAIN: Final = "INDETERMINATE"
FAILED: Final = "TOTAL-FAILED"


@dataclass(frozen=True, slots=True)
class CheckReason:
    """One code: indication, sub-indication, and a sentence in each language."""

    indication: Main
    sub_indication: str
    en: str
    zh_hans: str
    zh_hant: str

    @property
    def text(self) -> dict[str, str]:
        """The sentence for people, by language tag."""
        return {"en": self.en, "zh-Hans": self.zh_hans, "zh-Hant": self.zh_hant}


REASONS: Final[Mapping[str, CheckReason]] = {
    # integrity
    "intact": CheckReason(
        PASSED,
        "",
        "Nothing was changed after sealing.",
        "盖章后未作任何改动。",
        "蓋章後未作任何改動。",
    ),
    "evidence_added": CheckReason(
        PASSED,
        "",
        "Only evidence for later years was added after signing; the content is unchanged.",
        "签名后仅补充了长期验证资料，内容未改动。",
        "簽名後僅補充了長期驗證資料，內容未改動。",
    ),
    "not_a_pdf": CheckReason(
        FAILED,
        "FORMAT_FAILURE",
        "The file is not a PDF and carries no signature.",
        "该文件不是 PDF，也不含签名。",
        "該檔案不是 PDF，也不含簽名。",
    ),
    "unreadable": CheckReason(
        FAILED,
        "FORMAT_FAILURE",
        "The file is damaged and cannot be read.",
        "文件已损坏，无法读取。",
        "檔案已損毀，無法讀取。",
    ),
    "encrypted": CheckReason(
        FAILED,
        "FORMAT_FAILURE",
        "The file is encrypted, so nobody can see what is sealed in it.",
        "文件已加密，无法查看其中的印章。",
        "檔案已加密，無法查看其中的印章。",
    ),
    "not_sealed": CheckReason(
        FAILED,
        "FORMAT_FAILURE",
        "The document carries no seal or signature.",
        "该文件没有电子印章或签名。",
        "該文件沒有電子印章或簽名。",
    ),
    "content_missing": CheckReason(
        UNCERTAIN,
        "SIGNED_DATA_NOT_FOUND",
        "The signed file is needed together with its signature.",
        "需要同时提供被签名的文件和签名。",
        "需要同時提供被簽名的檔案和簽名。",
    ),
    "digest_mismatch": CheckReason(
        FAILED,
        "HASH_FAILURE",
        "The content is not the content that was signed.",
        "内容与签名时的内容不一致。",
        "內容與簽名時的內容不一致。",
    ),
    "signature_wrong": CheckReason(
        FAILED,
        "SIG_CRYPTO_FAILURE",
        "The signature was not made with the key of its certificate.",
        "签名与其证书的密钥不符。",
        "簽名與其憑證的金鑰不符。",
    ),
    "signature_malformed": CheckReason(
        FAILED,
        "FORMAT_FAILURE",
        "The signature is not built as the standard says, or does not cover the whole document.",
        "签名结构不符合标准，或未覆盖整个文件。",
        "簽名結構不符合標準，或未涵蓋整個文件。",
    ),
    "not_compared": CheckReason(
        UNCERTAIN,
        "GENERIC",
        "Something follows a signature in a file written for two kinds of readers, and could not be"
        " compared with what was signed.",
        "该文件是供新旧两类阅读器使用的格式，签名之后又有内容，无法与签名时的内容比对。",
        "該檔案是供新舊兩類閱讀器使用的格式，簽名之後又有內容，無法與簽名時的內容比對。",
    ),
    "changed_after_sealing": CheckReason(
        FAILED,
        "FORMAT_FAILURE",
        "Something was added or changed after the document was sealed.",
        "文件盖章后被添加或修改过内容。",
        "文件蓋章後被添加或修改過內容。",
    ),
    "description_changed": CheckReason(
        UNCERTAIN,
        "SIG_CONSTRAINTS_FAILURE",
        "The description of the document (title, author) was changed after signing.",
        "签名后文件的说明信息（标题、作者）被改动。",
        "簽名後文件的說明資訊（標題、作者）被改動。",
    ),
    "added_between_signatures": CheckReason(
        UNCERTAIN,
        "SIG_CONSTRAINTS_FAILURE",
        "Something was filled in or signed after the first signature.",
        "首个签名之后又填写或签署了内容。",
        "首個簽名之後又填寫或簽署了內容。",
    ),
    "too_complex": CheckReason(
        UNCERTAIN,
        "GENERIC",
        "Reading the file needs more time or memory than we give to one document.",
        "读取该文件所需的时间或内存超出限制。",
        "讀取該檔案所需的時間或記憶體超出限制。",
    ),
    # authority
    "authority_trusted": CheckReason(
        PASSED,
        "",
        "The certificate was issued under an authority we trust.",
        "证书由受信任的机构签发。",
        "憑證由受信任的機構簽發。",
    ),
    "authority_unknown": CheckReason(
        UNCERTAIN,
        "NO_CERTIFICATE_CHAIN_FOUND",
        "The certificate was issued by an authority that is not known here.",
        "证书由本系统未知的机构签发。",
        "憑證由本系統未知的機構簽發。",
    ),
    "certificate_expired": CheckReason(
        UNCERTAIN,
        "EXPIRED",
        "The certificate had ended before the document was signed.",
        "签名时证书已过期。",
        "簽名時憑證已過期。",
    ),
    "certificate_not_yet_valid": CheckReason(
        UNCERTAIN,
        "NOT_YET_VALID",
        "The certificate was not valid yet when the document was signed.",
        "签名时证书尚未生效。",
        "簽名時憑證尚未生效。",
    ),
    "certificate_revoked": CheckReason(
        FAILED,
        "REVOKED",
        "The certificate had been revoked before the document was signed.",
        "签名时证书已被吊销。",
        "簽名時憑證已被撤銷。",
    ),
    # time
    "time_stamped": CheckReason(
        PASSED,
        "",
        "A trusted time-stamp proves when the document was signed.",
        "可信时间戳证明了签名时间。",
        "可信時戳證明了簽名時間。",
    ),
    "time_only_claimed": CheckReason(
        UNCERTAIN,
        "NO_POE",
        "The time of signing is only claimed; there is no time-stamp.",
        "签名时间仅为自称，没有时间戳。",
        "簽名時間僅為自稱，沒有時戳。",
    ),
    "time_stamp_wrong": CheckReason(
        UNCERTAIN,
        "NO_POE",
        "The time-stamp does not belong to this signature.",
        "时间戳与该签名不符。",
        "時戳與該簽名不符。",
    ),
    "time_stamp_untrusted": CheckReason(
        UNCERTAIN,
        "NO_POE",
        "The time-stamp is by an authority that is not trusted here.",
        "时间戳由本系统不信任的机构签发。",
        "時戳由本系統不信任的機構簽發。",
    ),
    "time_stamp_not_understood": CheckReason(
        UNCERTAIN,
        "NO_POE",
        "The time-stamp is of a kind that is not understood here.",
        "无法识别该时间戳的类型。",
        "無法識別該時戳的類型。",
    ),
    "time_in_future": CheckReason(
        UNCERTAIN,
        "TIMESTAMP_ORDER_FAILURE",
        "The time-stamp lies in the future: a clock is or was wrong.",
        "时间戳的时间在未来，说明有时钟不准。",
        "時戳的時間在未來，說明有時鐘不準。",
    ),
    # seal
    "seal_active": CheckReason(
        PASSED,
        "",
        "The seal is registered and was in force when the document was signed.",
        "印章已备案，签名时有效。",
        "印章已備案，簽名時有效。",
    ),
    "seal_unknown": CheckReason(
        UNCERTAIN,
        "SIG_CONSTRAINTS_FAILURE",
        "The certificate does not belong to a seal that is registered here.",
        "该证书不属于在本系统备案的印章。",
        "該憑證不屬於在本系統備案的印章。",
    ),
    "seal_not_valid_then": CheckReason(
        UNCERTAIN,
        "SIG_CONSTRAINTS_FAILURE",
        "The seal was not in force when the document was signed.",
        "签名时印章不在有效期内。",
        "簽名時印章不在有效期內。",
    ),
    "seal_suspended": CheckReason(
        FAILED,
        "SIG_CONSTRAINTS_FAILURE",
        "The seal was suspended when the document was signed.",
        "签名时印章已被暂停使用。",
        "簽名時印章已被暫停使用。",
    ),
    "seal_revoked": CheckReason(
        FAILED,
        "SIG_CONSTRAINTS_FAILURE",
        "The seal had been revoked when the document was signed.",
        "签名时印章已被注销。",
        "簽名時印章已被註銷。",
    ),
    "seal_not_active": CheckReason(
        FAILED,
        "SIG_CONSTRAINTS_FAILURE",
        "The seal was registered but not in use when the document was signed.",
        "签名时印章尚未启用或已停用。",
        "簽名時印章尚未啟用或已停用。",
    ),
    # not asked, not reached
    "status_not_asked": CheckReason(
        UNCERTAIN,
        "",
        "Whether it is still in force is answered by the issuing department, not by the file.",
        "是否仍然有效须由签发部门答复，文件本身无法说明。",
        "是否仍然有效須由簽發部門答覆，文件本身無法說明。",
    ),
    "validity_not_asked": CheckReason(
        UNCERTAIN,
        "",
        "How long it is valid is answered by the issuing department, not by the file.",
        "有效期须由签发部门答复，文件本身无法说明。",
        "有效期須由簽發部門答覆，文件本身無法說明。",
    ),
    "not_reached": CheckReason(
        UNCERTAIN,
        "",
        "This could not be asked, because the document cannot be relied on.",
        "文件不可靠，无法继续核验此项。",
        "文件不可靠，無法繼續核驗此項。",
    ),
}


def reason_for(code: str) -> CheckReason:
    """The row of a code; whatever was not reached, and every idle state of a seal, share one."""
    if code.endswith("_not_reached"):
        return REASONS["not_reached"]
    if code not in REASONS and code.startswith("seal_"):
        return REASONS["seal_not_active"]
    return REASONS[code]


def etsi(validation: Validation) -> tuple[Main, str]:
    """Indication and sub-indication of the whole document."""
    # In the order of EN 319 102-1 §5.3: format and hash, certificate, time, then our own policy.
    asked = [validation.check(name) for name in ("integrity", "authority", "time", "seal")]
    if validation.indication == "valid":
        return PASSED, ""
    decisive = reason_for(worst(asked).code)
    return decisive.indication, decisive.sub_indication
