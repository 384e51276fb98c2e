"""The public check as a page: a file is dropped, or the code on the paper leads here. No account, no personal data."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from eraser.console.access import form_fields
from eraser.console.identity import anyone
from eraser.console.orders import keep_no_answer
from eraser.console.pages.customers_page import DETAIL_WORDS
from eraser.console.pages.language import N_
from eraser.console.pages.rendering import render
from eraser.console.public_check import (
    FILES_PER_MINUTE,
    LOOKS_PER_MINUTE,
    Allowance,
    Answer,
    Checked,
    PublicCheck,
    Theirs,
)
from eraser.errors import UsageError

_ANYONE = [Depends(anyone)]

SENTENCES: dict[Answer, tuple[str, str, str]] = {
    Answer.PASSED: (
        N_("Genuine: erased, passed"),
        N_(
            "This station signed it, and its record has exactly this document. The whole drive was overwritten as asked."
        ),
        N_("Compare the serial number below with the drive's label."),
    ),
    Answer.FAILED: (
        N_("Genuine: NOT erased"),
        N_("This station signed it, and it says that the erasure failed. Old data may still be readable."),
        N_("Do not sell the drive and do not pass it on."),
    ),
    Answer.WITHDRAWN: (
        N_("Withdrawn: no longer valid"),
        N_("This station issued it and took it back later. It proves nothing any more."),
        N_("Ask whoever gave it to you why, and for the newer certificate."),
    ),
    Answer.ALTERED: (
        N_("Not genuine: it was altered"),
        N_("What it says is not what was signed. Something in the file was changed after the station signed it."),
        N_("Do not believe anything in it. Ask the plant for the original."),
    ),
    Answer.UNKNOWN_KEY: (
        N_("Not proved: not signed by this station"),
        N_("It bears a signature that this station does not know. It may be another plant's, or made up."),
        N_("Check it at the plant that issued it, with a key that you got from there."),
    ),
    Answer.NOT_ON_RECORD: (
        N_("Not proved: this station has no record of it"),
        N_("The signature is right, but the station's record does not have this document."),
        N_("Tell the plant: this should not happen."),
    ),
    Answer.ANOTHER_DOCUMENT: (
        N_("Not genuine: the record says something else"),
        N_("There is a certificate of this number, but not the document that this code belongs to."),
        N_("Ask the plant for the original, and check its file instead of the paper."),
    ),
    Answer.NO_CERTIFICATE: (
        N_("This is no certificate"),
        N_("The file is damaged, or something else than a certificate of this program."),
        N_("Choose the PDF or the JSON file that you were given, unchanged."),
    ),
    Answer.NO_SUCH: (
        N_("Nothing is known under this code"),
        N_("This station has issued no certificate of this number."),
        N_("Type it again from the paper, or check the file."),
    ),
    Answer.WITHDRAWAL: (
        N_("This is a withdrawal, not a certificate"),
        N_("The file says that a certificate was taken back."),
        N_("Check the certificate itself."),
    ),
    Answer.OTHER_RECORD: (
        N_("Genuine, and no certificate of an erasure"),
        N_("This station signed it. It is a record of something else: a destruction, or a control of the station."),
        N_("Ask the plant what it means."),
    ),
    Answer.UNREADABLE_HERE: (
        N_("It cannot be checked just now"),
        N_("A certificate of this number is on record, but the station cannot show it at the moment."),
        N_("Check the file itself, or ask the plant."),
    ),
}
"""What is said, what that means, and what to do."""

THEIRS = {
    Theirs.YES: N_("It is yours: your receipt belongs to it."),
    Theirs.NO: N_(
        "The receipt does not belong to it: the code or a detail is another one. Type each as the paper has it."
    ),
    Theirs.NOBODYS: N_("It is bound to no customer. Ask the plant: the drive was perhaps not on record as yours."),
}

_BAD = (Answer.FAILED, Answer.WITHDRAWN, Answer.ALTERED, Answer.ANOTHER_DOCUMENT)


def add_check(router: APIRouter, check: PublicCheck) -> None:
    """`/check`, for everybody."""
    files, looks = Allowance(FILES_PER_MINUTE), Allowance(LOOKS_PER_MINUTE)

    @router.get("/check", dependencies=_ANYONE)
    async def show_check(request: Request, code: Annotated[str, Query(max_length=300)] = "") -> Response:
        if code.strip():
            return RedirectResponse(f"/check/{quote(code.strip(), safe='')}", status_code=303)
        return render(request, "check.html", {"checked": None, "code": ""})

    @router.post("/check", dependencies=_ANYONE)
    async def check_file(request: Request) -> Response:
        """The answer alone, for the page's script. The file is the body."""
        files.take(address_of(request))
        checked = await check.file(await request.body())
        return render(request, "check_result.html", result_context(checked))

    @router.get("/check/{code}", dependencies=_ANYONE)
    async def show_code(request: Request, code: str) -> Response:
        looks.take(address_of(request))
        checked = await check.code(code[:300])
        return render(request, "check.html", result_context(checked) | {"code": code[:300]})

    @router.post("/check/{code}", dependencies=_ANYONE)
    async def check_receipt(request: Request, code: str) -> Response:
        """Whether it is theirs who hold a receipt. In a form's body, which stands in no log."""
        looks.take(address_of(request))
        keep_no_answer(request)
        said = dict(form_fields(await request.body()))
        try:
            checked, wrong = await check.receipt(code[:300], said), ""
        except UsageError as error:
            checked, wrong = await check.code(code[:300]), str(error)
        return render(request, "check.html", result_context(checked) | {"code": code[:300], "wrong": wrong})


def address_of(request: Request) -> str:
    """From where it comes, for counting; at the Unix socket and behind a proxy all are one."""
    return request.client.host if request.client is not None else ""


def result_context(checked: Checked) -> dict[str, Any]:
    """What `check_result.html` shows."""
    word, meaning, step = SENTENCES[checked.answer]
    is_bad = checked.answer in _BAD or (checked.answer is Answer.PASSED and not checked.is_good)
    return {
        "checked": checked,
        "whose": THEIRS[checked.theirs] if checked.theirs is not None else "",
        "details": DETAIL_WORDS,
        "wrong": "",
        "word": word,
        "meaning": meaning,
        "step": step,
        "look": "good" if checked.is_good else "bad" if is_bad else "unknown",
        "picture": "passed" if checked.is_good else "failed" if is_bad else "asking",
    }
