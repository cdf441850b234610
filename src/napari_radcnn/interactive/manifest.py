"""How an interactive result was made, so that it can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_radcnn.interactive.answering import Answering, describe_engine
from napari_radcnn.interactive.history import History
from napari_radcnn.manifest import of_session


def session_manifest(
    history: History, answering: Answering, identity: Mapping[str, Any], started: str
) -> dict[str, Any]:
    """Return the manifest of a session as it is now, as JSON types.

    Its ``"steps"`` are those of a script of `radcnn interact`, in order; what was undone is not among them. A step
    ``{"engine": NAME}`` says that prompts are answered by another engine from there on.

    Parameters
    ----------
    history : History
        The steps.
    answering : Answering
        The engine as it is now.
    identity : mapping
        Of the scan.
    started : str
        When the session began, UTC.
    """
    steps: list[Mapping[str, Any]] = []
    times: list[str] = []
    engines: list[str] = []
    for record, engine, time in history.records():
        if engine and engines and engine != engines[-1]:
            steps.append({"engine": engine})
            times.append(time)
        if engine and (not engines or engine != engines[-1]):
            engines.append(engine)
        steps.append(record)
        times.append(time)
    return of_session(
        engines=[describe_engine(name) for name in dict.fromkeys(engines or [answering.name])],
        settings=answering.settings_dict(),
        scan=identity,
        steps=steps,
        step_times=times,
        started=started,
    )
