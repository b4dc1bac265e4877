"""Which arrays of the shards of a store are its vectors: decided once, for all shards.

:func:`~l2cli.store.run.normalize_store` calls it between plan and work. It has a few shards of
each family surveyed by a runner, and writes nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from l2cli.errors import NoArrayError
from l2cli.io.families import families_of, sampled
from l2cli.io.survey import choose
from l2cli.store.manifest import recorded_choice
from l2cli.store.runners import find_runner

if TYPE_CHECKING:
    from l2cli.io.store_choice import StoreChoice
    from l2cli.options import NormalizeOptions, StoreOptions
    from l2cli.store.plan import Plan
    from l2cli.store.runners.base import Runner
    from l2cli.store.task import ShardTask


def decide(
    plan: Plan, options: NormalizeOptions, files: StoreOptions, runner: str | Runner
) -> StoreChoice | None:
    """Decide what is normalized in the folders of ``plan``, and tell its tasks.

    A run that goes on with what another began keeps to what that one decided.

    Raises
    ------
    NoArrayError
        Where every file was looked into, and there is nothing to normalize.
    """
    candidates = [task for task in plan.tasks if task.action == "normalize"]
    shards = [task for task in candidates if not task.required]
    if not (candidates or plan.failures):
        raise NoArrayError(nothing_message(plan.source, options, []))
    if not shards:
        return None
    families = families_of([task.name for task in shards])
    choice = None if files.overwrite else recorded_choice(plan.root)
    if choice is None:
        choice = _survey(plan, shards, families, options, runner)
    choice_of = {family: choice.of(family) for family in set(families)}
    with_choice = {
        task.name: replace(task, choice=choice_of[family])
        for task, family in zip(shards, families, strict=True)
    }
    plan.tasks = [with_choice.get(task.name, task) for task in plan.tasks]
    return choice


def _survey(
    plan: Plan,
    shards: list[ShardTask],
    families: list[str],
    options: NormalizeOptions,
    runner: str | Runner,
) -> StoreChoice:
    family_of = {shards[index].name: family for family, index in sampled(families)}
    looked = [replace(task, action="survey") for task in shards if task.name in family_of]
    tasks_runner = find_runner(runner)
    with contextlib.closing(tasks_runner.run(looked, lambda task, done, total: None)) as results:
        reports = [report for _, report in results]
    arrays_found = [(family_of[report.name], report.arrays) for report in reports]
    num_candidates = sum(task.action == "normalize" for task in plan.tasks)
    is_complete = len(looked) == num_candidates and not plan.failures
    if is_complete and all(report.status in ("copied", "bystander") for report in reports):
        reasons = [report.reason for report in reports if report.reason]
        raise NoArrayError(nothing_message(plan.source, options, reasons))
    return choose(arrays_found, families, named=bool(options.select))


def nothing_message(source: str, options: NormalizeOptions, reasons: list[str]) -> str:
    """Return what to say of a store in which nothing was normalized."""
    if options.select:
        names = ", ".join(f"'{name}'" for name in options.select)
        return f"{source}: no file of it holds an array {names}"
    why = f": {reasons[0]}" if reasons else "; see `inspect_file`"
    return f"{source}: no file of it holds an array to normalize{why}"
