"""A member's side of the interface: logs in, signs, sends, and sends again when that is safe.

Every POST carries an ``Idempotency-Key`` and every order its own id, so a request whose answer was lost is simply
repeated: the market answers a repeat with the first answer. Repeated are lost connections, 503, 429, 408, and whatever
says ``Retry-After``; a session that has run out is opened again once. Receipts are held against the operator's key.

``Client``      all of HTTP, for asyncio
``Stream``      books kept at home, trades and own orders as they happen, order entry; comes back by itself
``SyncClient``  the same two for programs without asyncio
"""

from market.client.book import LocalBook, Quote
from market.client.errors import ClientError, ReceiptError, Refused, RefusedError, UnreachableError
from market.client.events import BookChanged, Event, OrdersChanged, PublicTrade, Traded, TradesMissed
from market.client.member import Client, jwk_of, new_nonce
from market.client.shapes import Facts, Placed, Receipt, order_body
from market.client.stream import Stream
from market.client.sync import SyncClient, SyncStream
from market.client.webhooks import WebhookError, read_webhook

__all__ = [
    "BookChanged",
    "Client",
    "ClientError",
    "Event",
    "Facts",
    "LocalBook",
    "OrdersChanged",
    "Placed",
    "PublicTrade",
    "Quote",
    "Receipt",
    "ReceiptError",
    "Refused",
    "RefusedError",
    "Stream",
    "SyncClient",
    "SyncStream",
    "Traded",
    "TradesMissed",
    "UnreachableError",
    "WebhookError",
    "jwk_of",
    "new_nonce",
    "order_body",
    "read_webhook",
]
