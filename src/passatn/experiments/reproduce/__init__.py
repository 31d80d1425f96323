"""`passatn reproduce`: the experiment behind each table and figure of arXiv 2502.07154, at three sizes.

    passatn reproduce --list
    passatn reproduce table1 --scale demo --output reproduction

`catalogue` names them, `recipes` says what is trained on what, `direct` and `reasoning` are the stages that they share,
one module per figure or group of tables computes its section, and `command` runs it and writes the files. Importing
this package, and listing, imports neither torch nor transformers.
"""
