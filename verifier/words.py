"""The sentences of a report, in Chinese and in English, by the code of the line.

``{when}`` is a time in UTC, ``{energy}`` kWh, ``{price}`` and ``{limit}`` CNY/kWh, ``{amount}`` CNY: whoever reads is
shown units, the file holds whole numbers.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

LANGUAGES = ("en", "zh")

SENTENCES: dict[str, tuple[str, str]] = {
    "trade_buy": (
        "Trade {trade}: member {member} bought {energy} kWh at {price} CNY/kWh for {when} on meter {meter}",
        "成交 {trade}：会员 {member} 以 {price} 元/千瓦时买入 {energy} 千瓦时，时段 {when}，电表 {meter}",
    ),
    "trade_sell": (
        "Trade {trade}: member {member} sold {energy} kWh at {price} CNY/kWh for {when} on meter {meter}",
        "成交 {trade}：会员 {member} 以 {price} 元/千瓦时卖出 {energy} 千瓦时，时段 {when}，电表 {meter}",
    ),
    "contracts_of_one_account": (
        "The contracts for trades and for members were made by one account, 0x{account}",
        "交易合约与会员合约由同一账户创建：0x{account}",
    ),
    "trade_under_root": (
        "The trade stands under the root of commitment {commitment}",
        "该成交在第 {commitment} 号承诺的根之下",
    ),
    "chain_says_commitment": (
        "The chain says commitment {commitment} in block {block}, {when}",
        "链上区块 {block}（{when}）记载第 {commitment} 号承诺",
    ),
    "traded_before_block": ("The trade is not later than that block", "成交不晚于该区块"),
    "event_in_block": ("{place} stands in block {block}", "{place} 在区块 {block} 之内"),
    "block_is_known": (
        "Block {block} is the one you brought: {hash}",
        "区块 {block} 与您提供的一致：{hash}",
    ),
    "block_not_compared": (
        "that block {block} with hash {hash} is the chain's: it was compared with nothing",
        "区块 {block}（哈希 {hash}）属于该链：未与任何外部来源比对",
    ),
    "known_block_is_met": (
        "A block that you brought is in the file: {hash}",
        "您提供的区块出现在文件中：{hash}",
    ),
    "order_is_of_trade": ("The signed order is the one that the trade names", "签名订单即该成交所指订单"),
    "order_side": ("The order is of that side", "订单方向相符"),
    "order_member": ("The order is of member {member}", "订单属于会员 {member}"),
    "order_meter": ("The order is for meter {meter}", "订单针对电表 {meter}"),
    "order_slot": ("The order is for the slot {when}", "订单针对时段 {when}"),
    "order_price": (
        "The price {price} CNY/kWh keeps the order's limit {limit}",
        "价格 {price} 元/千瓦时未突破订单限价 {limit}",
    ),
    "order_quantity": (
        "With this trade {filled} kWh of the order's {quantity} are filled",
        "连同本成交，订单 {quantity} 千瓦时中已成交 {filled}",
    ),
    "order_reach": ("The order reaches so far in the grid", "电网范围在订单允许之内"),
    "order_terms": ("The order allows payment in {days} days", "订单允许 {days} 天账期"),
    "order_time": ("The order was taken before its deadline and before the trade", "订单在截止与成交之前被接受"),
    "order_signed": (
        "The order is signed with the shown key of member {member}",
        "订单由会员 {member} 的所示密钥签名",
    ),
    "key_event": ("{place} is a key of member {member}, in order", "{place} 是会员 {member} 的密钥记载，次序正确"),
    "key_of_the_day": (
        "The chain names that key for member {member} at {when}",
        "链上记载该密钥在 {when} 属于会员 {member}",
    ),
    "no_key_left_out": (
        "that no change of member {member}'s key was left out of the file",
        "文件未遗漏会员 {member} 的任何一次密钥更换",
    ),
    "other_side_hidden": (
        "The other side is hidden in the hash {hash}",
        "对方信息隐藏于哈希 {hash}",
    ),
    "malformed": ("The file can not be read: {what}", "文件无法读取：{what}"),
    "holds": ("HOLDS", "成立"),
    "fails": ("REFUSED", "不成立"),
    "believed": ("believed", "仅采信"),
    "shown": ("", ""),
    "result_holds": (
        "The proof holds. {checked} checks; {believed} points were only believed.",
        "证明成立。共核对 {checked} 项；{believed} 项仅采信。",
    ),
    "result_fails": (
        "THE PROOF DOES NOT HOLD: {failed} of {checked} checks failed.",
        "证明不成立：{checked} 项核对中 {failed} 项失败。",
    ),
}


def sentence(language: str, code: str, details: Mapping[str, object]) -> str:
    """The sentence of a line."""
    return SENTENCES[code][LANGUAGES.index(language)].format_map(
        {name: _shown(name, value) for name, value in details.items()}
    )


def _shown(name: str, value: object) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        return str(value)
    if name == "when":
        return instant(value)
    places = {"energy": 2, "filled": 2, "quantity": 2, "price": 4, "limit": 4, "amount": 6}.get(name)
    return str(value) if places is None else decimal(value, places)


def instant(seconds: int) -> str:
    """Seconds since 1970 as text; the number itself beyond the calendar."""
    if seconds > 253_402_300_799:
        return str(seconds)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def decimal(number: int, places: int) -> str:
    """A whole number of smallest units with its point put in."""
    sign, digits = "-" if number < 0 else "", str(abs(number)).rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}"
