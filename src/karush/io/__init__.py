"""Files: problems to read, results to write and read back."""

from karush.io.point_file import Point as Point
from karush.io.point_file import read_point as read_point
from karush.io.problem_file import load_problem as load_problem
from karush.io.result_json import certificate_document as certificate_document
from karush.io.result_json import dumps as dumps
from karush.io.result_json import result_document as result_document
