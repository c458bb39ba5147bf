"""What ``jinsha score fit`` says of a card: tables in Markdown."""

from collections.abc import Iterator

from finance.credit.card import Card
from finance.credit.judging import Judgement, Outcome


def report(found: Outcome, members: int, seed: int) -> str:
    """The whole of it."""
    return "\n".join(_lines(found, members, seed)) + "\n"


def _lines(found: Outcome, members: int, seed: int) -> Iterator[str]:
    yield f"`jinsha score fit --members {members} --seed {seed}`: fitted on {found.fitted_on:,} members of six"
    yield f"simulated communities, judged on {found.tested:,} members of four others, of whom"
    yield f"{_percent(found.default_rate)} defaulted."
    yield ""
    yield "| who says so | AUC out of sample | ± (95 %) | Brier | calibration error | AUC in all worlds |"
    yield "|---|---|---|---|---|---|"
    for each, (_, least, most) in zip(found.judgements, found.spread, strict=True):
        figures = f"{each.auc:.3f} | {1.96 * each.auc_error:.3f} | {each.brier:.4f} | {_percent(each.ece)}"
        yield f"| {each.name} | {figures} | {least:.3f} to {most:.3f} |"
    yield ""
    yield "The known truth is the bound: nobody orders members better than their true probabilities. Tenths of the"
    yield "judged members, the safest first; what was said to default, and what did:"
    yield ""
    yield from _deciles(found.judgements)
    yield ""
    yield from _points(found.card)


def _deciles(judgements: list[Judgement]) -> Iterator[str]:
    yield f"| tenth | {' | '.join(f'{each.name}: said | happened' for each in judgements)} |"
    yield f"|---|{'---|' * 2 * len(judgements)}"
    for place, row in enumerate(zip(*(each.deciles for each in judgements), strict=True), 1):
        yield f"| {place} | {' | '.join(f'{_percent(each.said)} | {_percent(each.happened)}' for each in row)} |"


def _points(card: Card) -> Iterator[str]:
    yield f"Points of `{card.name}` by feature, from the worst bin to the best, and what the unknown brings:"
    yield ""
    yield "| feature | bins | points | unknown |"
    yield "|---|---|---|---|"
    for feature in card.features:
        points = sorted(each.points for each in feature.bins)
        yield f"| {feature.en} | {len(points)} | {points[0]} to {points[-1]} | {feature.unknown.points} |"
    bounds = ", ".join(f"{grade.rating} from {grade.from_}" for grade in card.grades if grade.from_ is not None)
    yield ""
    yield f"Ratings by points: {bounds}."


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
