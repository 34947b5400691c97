"""What a campaign costs by stage, from short measurements on this machine.

Each measurement is a process of its own (`python -m nnexafs.probe`), so that its memory and the time that Python takes
to start are those of a job. Seconds are those of the processor, FEFF's processes included: they do not depend on what
else the machine does, and on an idle core a job takes about as long.
"""
