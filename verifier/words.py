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
    "same_trade": ("Both sides' proofs are of one trade", "双方的证明属于同一笔成交"),
    "keys_of_member": ("The chain names the keys of member {member}", "链上记载会员 {member} 的密钥"),
    "role_operator": ("Member {member} was admitted as operator", "会员 {member} 以运营方身份加入"),
    "role_checker": ("Member {member} was admitted as checker", "会员 {member} 以核对方身份加入"),
    "receipt": (
        "The operator signed the journal up to sequence {sequence}, the trade within",
        "运营方对截至序号 {sequence} 的日志签名，该成交在内",
    ),
    "delivered": (
        "that {energy} kWh were delivered (financeable: {financeable}): stated by the operator",
        "已交付 {energy} 千瓦时（可融资：{financeable}）：由运营方陈述",
    ),
    "cycle_by_operator": ("The operator signed cycle {cycle}", "运营方对第 {cycle} 结算周期签名"),
    "cycle_by_checker": ("The checker signed cycle {cycle}", "核对方对第 {cycle} 结算周期签名"),
    "cycle_unchecked": (
        "cycle {cycle}: the checker has not signed it yet",
        "第 {cycle} 结算周期：核对方尚未签名",
    ),
    "chain_proposed": (
        "The chain says the proposal of cycle {cycle} in block {block}, {when}",
        "链上区块 {block}（{when}）记载第 {cycle} 结算周期的提案",
    ),
    "chain_applied": (
        "The chain says that cycle {cycle} was applied in block {block}, {when}",
        "链上区块 {block}（{when}）记载第 {cycle} 结算周期已执行",
    ),
    "not_proposed": ("cycle {cycle}: not proposed to the chain yet", "第 {cycle} 结算周期：尚未向链上提案"),
    "not_applied": ("cycle {cycle}: not applied on the chain yet", "第 {cycle} 结算周期：尚未在链上执行"),
    "cycle_without_trade": (
        "Cycle {cycle} is of another day than the trade",
        "第 {cycle} 结算周期与该成交不在同一日",
    ),
    "trade_in_cycle": ("The trade stands in cycle {cycle}", "该成交属于第 {cycle} 结算周期"),
    "reading_in_cycle": (
        "Meter {meter} counts with {exported} kWh exported, {imported} kWh imported",
        "电表 {meter} 计入：送出 {exported} 千瓦时，用入 {imported} 千瓦时",
    ),
    "reading_by_operator": ("A meter operator signed the reading of {meter}", "计量方对电表 {meter} 的读数签名"),
    "reading_by_meter": ("Meter {meter} signed its reading itself", "电表 {meter} 自行对读数签名"),
    "meter_key": ("A meter operator registered the key of {meter}", "计量方登记了电表 {meter} 的密钥"),
    "reading_unsigned": (
        "that the reading of {meter} was signed: the signature is not in this copy",
        "电表 {meter} 的读数有签名：此副本不含该签名",
    ),
    "no_reading": (
        "meter {meter} has no reading here: it was estimated, or left out",
        "文件中没有电表 {meter} 的读数：按估算处理，或被遗漏",
    ),
    "line": (
        "Statement line {line}: member {member}, {kind}, {amount} CNY ({how})",
        "结算单第 {line} 行：会员 {member}，{kind}，{amount} 元（{how}）",
    ),
    "no_cycle_left_out": (
        "that the file has all cycles that speak of the trade: {count}",
        "文件包含涉及该成交的全部结算周期：{count} 个",
    ),
    "no_line_left_out": (
        "that it has all lines of cycle {cycle} about the trade: {count}",
        "文件包含第 {cycle} 结算周期涉及该成交的全部结算行：{count} 行",
    ),
    "no_claim": ("that no receivable claims the trade", "没有应收账款包含该成交"),
    "no_event_left_out": (
        "that the chain says no more of the receivable than these {count} events",
        "链上关于该应收账款的记载仅此 {count} 条",
    ),
    "claim_is_content": (
        "The receivable is the hash of its content: {receivable}",
        "应收账款即其内容之哈希：{receivable}",
    ),
    "claim_in_period": ("It stands under the root of period {period}", "它在第 {period} 期的根之下"),
    "claim_face": ("Its face, {amount} CNY, is what its trades come to", "其面额 {amount} 元与所含成交相符"),
    "claim_carried": (
        "that {amount} CNY were carried over from the period before",
        "自上期结转 {amount} 元",
    ),
    "claim_sides": (
        "Member {debtor} owes it to member {creditor}, as the trade says",
        "会员 {debtor} 对会员 {creditor} 负有该债务，与成交相符",
    ),
    "claimed_trade": ("It claims {amount} CNY of trade {trade}", "其中成交 {trade} 计 {amount} 元"),
    "claim_trades": ("The claimed trades come to its root", "所含成交与其根相符"),
    "claimed_slot": (
        "that trade {trade} is of the slot {when}, and was delivered so: its own evidence shows it",
        "成交 {trade} 属于时段 {when}，并已如数交付：由该成交自身的证据证明",
    ),
    "claim_parties": (
        "Member {debtor} owes member {creditor} {amount} CNY by its content",
        "按其内容，会员 {debtor} 欠会员 {creditor} {amount} 元",
    ),
    "claim_has_trade": ("Trade {trade} is one of them, as delivered", "成交 {trade} 在其中，数量与交付相符"),
    "claimed_commitments": (
        "the roots of the {count} commitments of the claimed trades: compare them with the chain",
        "所含成交的 {count} 个承诺根：请与链上比对",
    ),
    "claim_invoice": ("Its tax invoice {number} is over its face", "其数电发票 {number} 金额与面额相符"),
    "claimed_invoice": (
        "that the tax office knows invoice {number} of {day}, said to be {state}: ask it",
        "税务机关有 {day} 开具的发票 {number}(据称状态：{state})：请向税务机关查验",
    ),
    "claim_registration": (
        "The hash of registration {number} is what the chain would have of it",
        "登记证明 {number} 的摘要与链上所用一致",
    ),
    "claimed_registration": (
        "that registration {number} secures member {party}: search the registry",
        "登记证明 {number} 以会员 {party} 为担保权人：请在中登网查询",
    ),
    "claim_event": ("{place} is an event of this receivable, in order", "{place} 是该应收账款的事件，次序正确"),
    "claim_issued": ("The chain says that period {period} was issued", "链上记载第 {period} 期已发行"),
    "claim_acknowledged": (
        "The debtor, member {member}, acknowledged it in block {block}, {when}",
        "债务人会员 {member} 已在区块 {block}（{when}）确认",
    ),
    "claim_not_acknowledged": (
        "the debtor, member {member}, has not acknowledged it in this file",
        "文件中没有债务人会员 {member} 的确认",
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


_KWH = ("energy", "exported", "imported", "filled", "quantity")
_PLACES = {"price": 4, "limit": 4, "amount": 6, **dict.fromkeys(_KWH, 2)}


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
    places = _PLACES.get(name)
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
