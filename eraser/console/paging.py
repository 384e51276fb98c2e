"""Long lists in pages: `limit` from the one after `after` on, and `Link: <…>; rel="next"` (RFC 8288) where there are more."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import JSONResponse

MAX_LIMIT = 1000
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most")]


def page_answer(
    request: Request, found: Sequence[dict[str, Any]], limit: int, cursor: Callable[[dict[str, Any]], str]
) -> JSONResponse:
    """The first `limit` of them; `found` holds one more where there are more. `cursor`: what to go on after."""
    shown = list(found[:limit])
    answer = JSONResponse(shown)
    if len(found) > limit:
        query = dict(request.query_params) | {"after": cursor(shown[-1]), "limit": str(limit)}
        answer.headers["link"] = f'<{request.url.path}?{urlencode(query)}>; rel="next"'
    return answer
