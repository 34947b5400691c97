"""What one job leaves beside its result: its record, its identity, its restart files.

Takes    settings, code and inputs of a job
Gives    <result>.record.json, <result>.restart/
Entry    jobs.record.recorded
Rules    used by every rule
Results  beside every result
"""
