"""The ways in which an audit is not to be believed, each with its own stable code."""

from eraser.certificates.errors import RecordError as RecordError
from eraser.errors import CertificateError


class PlanNotFairError(CertificateError):
    """The sample is not the one that the log, the nonce and the criterion draw, or somebody was left out of the population."""

    code = "plan-not-fair"
