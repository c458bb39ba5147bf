"""A file in pieces as an answer: the first piece is made before the head goes out, so that its failure is told."""

from collections.abc import Iterator

from aiohttp import web

from market.context import CONTEXT


async def send_file(request: web.Request, pieces: Iterator[bytes], name: str, content_type: str) -> web.StreamResponse:
    """Answer with a file of this name, each piece made off the loop; half a file ends the connection."""
    context = request.app[CONTEXT]
    piece = await context.in_thread(next, pieces, None)
    response = web.StreamResponse(
        headers={"Content-Type": content_type, "Content-Disposition": f'attachment; filename="{name}"'}
    )
    await response.prepare(request)
    try:
        while piece is not None:
            await response.write(piece)
            piece = await context.in_thread(next, pieces, None)
    except Exception:
        if request.transport is not None:
            request.transport.abort()  # half a file must not look like a whole one
        raise
    await response.write_eof()
    return response
