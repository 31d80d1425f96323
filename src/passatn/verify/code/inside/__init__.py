"""What runs beside untrusted programs: standard library only, started as `inside` by a bare interpreter.

launcher    one process per worker; forks a supervisor for each program and knows nothing of programs or tests
supervisor  one per program; first process of its namespaces, keeps the deadline, kills and reaps everything
program     the untrusted program; answers calls, sees no test
examiner    the tests; the only process that can report a pass
"""
