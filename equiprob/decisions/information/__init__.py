"""What could be learned before deciding: one kind of information a file."""

from equiprob.decisions.information.base import AbstractInformation as AbstractInformation
from equiprob.decisions.information.more import Rows as Rows
from equiprob.decisions.information.more import Seeds as Seeds
from equiprob.decisions.information.more import Transformations as Transformations
from equiprob.decisions.information.run import Run as Run
