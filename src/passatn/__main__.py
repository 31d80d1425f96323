"""`python -m passatn`, also under torchrun: `torchrun --nproc_per_node 2 -m passatn train …`."""

from passatn.cli import main

main()
