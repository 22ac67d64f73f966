"""What a person sees: results and certificates as tables, progress while a solve runs."""

from karush.report.progress import ProgressLine as ProgressLine
from karush.report.tables import print_sections as print_sections
from karush.report.tables import render_certificate as render_certificate
from karush.report.tables import render_result as render_result
