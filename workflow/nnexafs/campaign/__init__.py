"""The campaign as a whole: planned, started, checked on this machine, verified at the end.

Takes    config; results/<campaign>
Gives    a plan, findings, verified.json
Entry    campaign.plan.plan, campaign.verification.campaign.verify
Rules    verify (workflow/rules/campaign.smk)
Results  verified.json
"""
