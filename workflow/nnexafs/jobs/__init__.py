"""What one job leaves beside its result: its record, its identity, its restart files.

Takes    settings, code and inputs of a job
Gives    <result>.record.json, <result>.restart/
Entry    jobs.stages.STAGES, jobs.record.job
Rules    used by every rule
Results  beside every result
"""
