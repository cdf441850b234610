"""One of several scans chosen for an input, by a rule; why, and what is in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from napari_radcnn.cohort.finding.rules import Facts, Rule

_MOST_NAMED = 3


@dataclass(frozen=True)
class Candidate:
    """A scan that a rule may choose.

    Attributes
    ----------
    cell : str
        What the list would name it.
    title : str
        How it is called in a sentence.
    facts : Facts
        What a rule looks at.
    problem : str
        Why it cannot be opened; empty where it can, as far as headers tell.
    notes : tuple of str
        What must be said of it.
    order : int
        Of two that are alike the lower is chosen.
    """

    cell: str
    title: str
    facts: Facts
    problem: str = ""
    notes: tuple[str, ...] = field(default=())
    order: int = 0


@dataclass(frozen=True)
class Choice:
    """What was chosen; `cell` is empty for nothing."""

    cell: str
    why: str
    doubt: str = ""


def choose(candidates: Sequence[Candidate], rule: Rule, *, is_default: bool = False) -> Choice:
    """Return the scan that a rule wants: of several that with the most slices, and then the first.

    Parameters
    ----------
    candidates : sequence of Candidate
        All scans of a case.
    rule : Rule
        What is wanted.
    is_default : bool
        Whether nobody gave the rule.
    """
    fitting = [one for one in candidates if not rule.against(one.facts)]
    if not fitting:
        against = "; ".join(f"{one.title}: {rule.against(one.facts)}" for one in candidates[:_MOST_NAMED])
        more = f"; and {len(candidates) - _MOST_NAMED} more" if len(candidates) > _MOST_NAMED else ""
        return Choice("", "", f"no scan for {rule.name} ({rule}): {against or 'there is none'}{more}")
    whole = [one for one in fitting if not one.problem]
    ranked = sorted(whole or fitting, key=lambda one: (-(one.facts.slices or 0), one.order))
    best, rest = ranked[0], ranked[1:]
    doubts = [f"{best.title}: {best.problem}"] if best.problem else []
    doubts += best.notes
    left_out = [one for one in fitting if one.problem] if whole else []
    doubts += [f"{one.title} fits as well but cannot be opened: {one.problem}" for one in left_out[:1]]
    if not rest:
        only = "the only scan" if len(candidates) == 1 else f"the only one of {len(candidates)} with {rule}"
        return Choice(best.cell, f"{rule.name}: {best.title}, {only}", "; ".join(doubts))
    has_most = (best.facts.slices or 0) > (rest[0].facts.slices or 0)
    by = f"the most slices ({best.facts.slices})" if has_most else "comes first"
    others = ", ".join(one.title for one in rest[:_MOST_NAMED]) + (" ..." if len(rest) > _MOST_NAMED else "")
    doubts.append(f"{len(ranked)} scans fit {rule.name}{'' if is_default else f' ({rule})'}: also {others}")
    return Choice(best.cell, f"{rule.name}: {best.title}, of {len(ranked)} that fit {by}", "; ".join(doubts))
