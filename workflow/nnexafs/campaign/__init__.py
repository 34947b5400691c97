"""The campaign as a whole: set up for another element, planned, started, checked on this machine, verified at the end.

Takes    a chemical symbol; config; results/<campaign>
Gives    an overlay, a plan, findings, verified.json
Entry    campaign.overlay.overlay.write, campaign.plan.plan, campaign.verification.campaign.verify
Rules    verify (workflow/rules/campaign.smk)
Results  verified.json
"""
