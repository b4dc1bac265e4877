"""Damaged files by the thousand: ``python -m tests.fuzz --seed 1 --count 2000``.

Each mutant of a good file must be refused in one line that names it, or be normalized as the
format's own library reads it. Mutant ``I`` of seed ``S`` is always the same:
``python -m tests.fuzz --seed S --mutant I``.
"""
