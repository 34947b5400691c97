"""Pages for people: the campaign's report and the pages of the papers. Reads files; computes no physics.

Takes    everything under results/<campaign>
Gives    report.html, docs/papers/
Entry    report.build.build, report.paper.write
Rules    report (workflow/rules/report.smk)
Results  report.html
"""
