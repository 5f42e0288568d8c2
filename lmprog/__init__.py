"""lmprog: a prompt language that compiles to token masks, with its own batched, prefix-reusing decoding runtime.

    import lmprog as lp
    from lmprog import gen, program, select

Names are imported when they are first used: `import lmprog` costs nothing and needs no model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attempts import Attempt as Attempt
    from .attributes import Attribute as Attribute
    from .branches import Branch as Branch
    from .byte_model import ByteModel as ByteModel
    from .byte_model import NextBytes as NextBytes
    from .byte_model import bytewise as bytewise
    from .calibrator import Calibrated as Calibrated
    from .calibrator import Calibrator as Calibrator
    from .cascade_fit import CascadeFit as CascadeFit
    from .cascade_fit import CascadePoint as CascadePoint
    from .cascade_fit import fit_cascade as fit_cascade
    from .cascading import Cascade as Cascade
    from .cascading import cascade as cascade
    from .confidence import Confidence as Confidence
    from .constraining import Refined as Refined
    from .constraining import constrain as constrain
    from .constraining import refining as refining
    from .covers import Exact as Exact
    from .decoders import Argmax as Argmax
    from .decoders import Certificate as Certificate
    from .decoders import Decoder as Decoder
    from .decoders import Method as Method
    from .decoders import Outcome as Outcome
    from .decoders import Particle as Particle
    from .decoders import Problem as Problem
    from .decoders import Sample as Sample
    from .decoders.abstain import Abstain as Abstain
    from .decoders.arithmetic import Arithmetic as Arithmetic
    from .decoders.asap import ASAp as ASAp
    from .decoders.beam import Beam as Beam
    from .decoders.best_first import BestFirst as BestFirst
    from .decoders.best_of import BestOf as BestOf
    from .decoders.confident import Confident as Confident
    from .decoders.consistent import Consistent as Consistent
    from .decoders.contrast import Contrast as Contrast
    from .decoders.exhaustive import Exhaustive as Exhaustive
    from .decoders.lookahead import Lookahead as Lookahead
    from .decoders.mcts import MCTS as MCTS
    from .decoders.nearness import Near as Near
    from .decoders.open_text import FSD as FSD
    from .decoders.open_text import Momentum as Momentum
    from .decoders.potentials import Also as Also
    from .decoders.potentials import Guess as Guess
    from .decoders.potentials import LogWeight as LogWeight
    from .decoders.potentials import Potential as Potential
    from .decoders.potentials import Prefix as Prefix
    from .decoders.potentials import Twist as Twist
    from .decoders.proxy import Proxy as Proxy
    from .decoders.rejection import Rejection as Rejection
    from .decoders.smc import AWRS as AWRS
    from .decoders.smc import SMC as SMC
    from .dist import Dist as Dist
    from .distilling import distill as distill
    from .distortion import Bias as Bias
    from .distortion import bias as bias
    from .distortion import plot_bias as plot_bias
    from .ends import UnclearEnd as UnclearEnd
    from .errors import AmbiguousOptions as AmbiguousOptions
    from .errors import AttemptsExhausted as AttemptsExhausted
    from .errors import BackendAnswer as BackendAnswer
    from .errors import BackendBusy as BackendBusy
    from .errors import BackendError as BackendError
    from .errors import BackendRefused as BackendRefused
    from .errors import BackendUnreachable as BackendUnreachable
    from .errors import BrokenModel as BrokenModel
    from .errors import BudgetError as BudgetError
    from .errors import CacheError as CacheError
    from .errors import CalibrationError as CalibrationError
    from .errors import CascadeError as CascadeError
    from .errors import ContextOverflow as ContextOverflow
    from .errors import DeadlineExceeded as DeadlineExceeded
    from .errors import DistillError as DistillError
    from .errors import EmptyLanguage as EmptyLanguage
    from .errors import EngineClosed as EngineClosed
    from .errors import EngineFault as EngineFault
    from .errors import EvaluationError as EvaluationError
    from .errors import HoleError as HoleError
    from .errors import HoleInString as HoleInString
    from .errors import InvalidConstraint as InvalidConstraint
    from .errors import InvalidOption as InvalidOption
    from .errors import LmprogError as LmprogError
    from .errors import ModelMismatch as ModelMismatch
    from .errors import ModelNotFound as ModelNotFound
    from .errors import NoModel as NoModel
    from .errors import NoSample as NoSample
    from .errors import OutOfSlots as OutOfSlots
    from .errors import PartError as PartError
    from .errors import ProgramError as ProgramError
    from .errors import QueueFull as QueueFull
    from .errors import RequestError as RequestError
    from .errors import RoleError as RoleError
    from .errors import RoutineCancelled as RoutineCancelled
    from .errors import RunCancelled as RunCancelled
    from .errors import RunError as RunError
    from .errors import SamplingError as SamplingError
    from .errors import ScriptError as ScriptError
    from .errors import SlotError as SlotError
    from .errors import TemplateError as TemplateError
    from .errors import ToolError as ToolError
    from .errors import TooManyValues as TooManyValues
    from .errors import TuningError as TuningError
    from .errors import UnsupportedConstraint as UnsupportedConstraint
    from .evaluation import Comparison as Comparison
    from .evaluation import Evaluation as Evaluation
    from .evaluation import evaluate as evaluate
    from .events import Close as Close
    from .events import Done as Done
    from .events import Event as Event
    from .events import Fork as Fork
    from .events import Open as Open
    from .events import Retract as Retract
    from .events import RoleBegin as RoleBegin
    from .events import RoleEnd as RoleEnd
    from .events import Text as Text
    from .grammars import Corpus as Corpus
    from .grammars import Grammar as Grammar
    from .grammars import any_text as any_text
    from .grammars import choices as choices
    from .grammars import from_type as from_type
    from .grammars import json_schema as json_schema
    from .grammars import literal as literal
    from .grammars import regex as regex
    from .hmm import HMM as HMM
    from .holes import Hole as Hole
    from .holes import gen as gen
    from .holes import quote as quote
    from .holes import select as select
    from .jobs import Calibration as Calibration
    from .jobs import Chunks as Chunks
    from .jobs import Cluster as Cluster
    from .jobs import ClusterError as ClusterError
    from .jobs import Extraction as Extraction
    from .jobs import InputError as InputError
    from .jobs import JobCancelled as JobCancelled
    from .jobs import JobError as JobError
    from .jobs import OutputError as OutputError
    from .jobs import Quote as Quote
    from .jobs import Served as Served
    from .jobs import WorkerDied as WorkerDied
    from .jobs import calibrate as calibrate
    from .jobs import extract as extract
    from .linting import Finding as Finding
    from .linting import Format as Format
    from .linting import FormatScore as FormatScore
    from .linting import FormatSpread as FormatSpread
    from .linting import Posix as Posix
    from .linting import format_spread as format_spread
    from .linting import lint as lint
    from .linting import posix as posix
    from .masked import Infilled as Infilled
    from .masked import MaskedLM as MaskedLM
    from .masked import MaskedModel as MaskedModel
    from .masked import infill_masked as infill_masked
    from .models import LanguageModel as LanguageModel
    from .models import using as using
    from .plan import Plan as Plan
    from .preview import previewing as previewing
    from .programs import Program as Program
    from .programs import program as program
    from .prompt import Prompt as Prompt
    from .run import Capture as Capture
    from .run import Captures as Captures
    from .run import CascadeRun as CascadeRun
    from .run import Run as Run
    from .run import Tried as Tried
    from .run import Usage as Usage
    from .run import Verdict as Verdict
    from .runtime.load import load as load
    from .runtime.remote.connect import connect as connect
    from .runtime.remote.model import RemoteModel as RemoteModel
    from .runtime.remote.servers import Capabilities as Capabilities
    from .slots import Slot as Slot
    from .slots import SlotText as SlotText
    from .slots import examples as examples
    from .slots import slot as slot
    from .stream import Stream as Stream
    from .templates import Template as Template
    from .tools import ToolCall as ToolCall
    from .tools import describe_tools as describe_tools
    from .trace import RequestRecord as RequestRecord
    from .trace import TokenRecord as TokenRecord
    from .tuning import Budget as Budget
    from .tuning import Optimised as Optimised
    from .tuning import Trial as Trial
    from .tuning import optimise as optimise
    from .venn_abers import VennAbers as VennAbers
    from .verbalizer import Verbalizer as Verbalizer
    from .why.result import Part as Part
    from .why.result import Why as Why

_ERRORS = """
AmbiguousOptions AttemptsExhausted BackendAnswer BackendBusy BackendError BackendRefused BackendUnreachable BrokenModel
BudgetError CacheError CalibrationError CascadeError ContextOverflow DeadlineExceeded DistillError EmptyLanguage
EngineClosed EngineFault EvaluationError HoleError HoleInString InvalidConstraint InvalidOption LmprogError
ModelMismatch ModelNotFound NoModel NoSample OutOfSlots PartError ProgramError QueueFull RequestError RoleError
RoutineCancelled RunCancelled RunError SamplingError ScriptError SlotError TemplateError TooManyValues ToolError
TuningError UnsupportedConstraint
"""
_HOMES = {
    ".attempts": "Attempt",
    ".attributes": "Attribute",
    ".branches": "Branch",
    ".byte_model": "ByteModel NextBytes bytewise",
    ".calibrator": "Calibrated Calibrator",
    ".cascade_fit": "CascadeFit CascadePoint fit_cascade",
    ".cascading": "Cascade cascade",
    ".confidence": "Confidence",
    ".constraining": "Refined constrain refining",
    ".covers": "Exact",
    ".decoders": "Argmax Certificate Decoder Method Outcome Particle Problem Sample",
    ".decoders.abstain": "Abstain",
    ".decoders.arithmetic": "Arithmetic",
    ".decoders.asap": "ASAp",
    ".decoders.beam": "Beam",
    ".decoders.best_first": "BestFirst",
    ".decoders.best_of": "BestOf",
    ".decoders.confident": "Confident",
    ".decoders.consistent": "Consistent",
    ".decoders.contrast": "Contrast",
    ".decoders.exhaustive": "Exhaustive",
    ".decoders.lookahead": "Lookahead",
    ".decoders.mcts": "MCTS",
    ".decoders.nearness": "Near",
    ".decoders.open_text": "FSD Momentum",
    ".decoders.potentials": "Also Guess LogWeight Potential Prefix Twist",
    ".decoders.proxy": "Proxy",
    ".decoders.rejection": "Rejection",
    ".decoders.smc": "AWRS SMC",
    ".dist": "Dist",
    ".distortion": "Bias bias plot_bias",
    ".distilling": "distill",
    ".ends": "UnclearEnd",
    ".errors": _ERRORS,
    ".evaluation": "Comparison Evaluation evaluate",
    ".events": "Close Done Event Fork Open Retract RoleBegin RoleEnd Text",
    ".grammars": "Corpus Grammar any_text choices from_type json_schema literal regex",
    ".hmm": "HMM",
    ".holes": "Hole gen quote select",
    ".jobs": "Calibration Chunks Cluster ClusterError Extraction InputError JobCancelled JobError OutputError Quote "
    "Served WorkerDied calibrate extract",
    ".linting": "Finding Format FormatScore FormatSpread Posix format_spread lint posix",
    ".masked": "Infilled MaskedLM MaskedModel infill_masked",
    ".models": "LanguageModel using",
    ".plan": "Plan",
    ".preview": "previewing",
    ".programs": "Program program",
    ".prompt": "Prompt",
    ".run": "Capture Captures CascadeRun Run Tried Usage Verdict",
    ".runtime.load": "load",
    ".runtime.remote.connect": "connect",
    ".runtime.remote.model": "RemoteModel",
    ".runtime.remote.servers": "Capabilities",
    ".slots": "Slot SlotText examples slot",
    ".stream": "Stream",
    ".templates": "Template",
    ".tools": "ToolCall describe_tools",
    ".trace": "RequestRecord TokenRecord",
    ".tuning": "Budget Optimised Trial optimise",
    ".venn_abers": "VennAbers",
    ".verbalizer": "Verbalizer",
    ".why.result": "Part Why",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
