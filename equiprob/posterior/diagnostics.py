"""What should a user know about a number before believing it?"""

from __future__ import annotations

import enum


class Diagnostic(enum.Enum):
    """Messages that travel with a result, mildest first; the value is the message.

    Up to `UP_TO_ROUNDING` they are notes (what was found, what is withheld and why); from there on
    they are cautions, and the worst of those is a result's status.
    """

    UNSEEN_FAILURES = (
        "failures rarer than about 3 in n independent rows can be missing from the data and from "
        "the interval (see facts.invisible_rate)"
    )
    FULL_ORBIT = "every element of the finite set was evaluated: no Monte Carlo error there"
    RANDOM_DESIGN = (
        "the distribution of the transformations has no quantile function: they are drawn "
        "independently rather than evenly spread"
    )
    WORST_NEEDS_CROSSED = (
        "worst_error is withheld: it compares transformations over the same rows, which "
        "design='crossed' evaluates"
    )
    LEVEL_NEEDS_HAAR = (
        "level is withheld: an average over transformations that are not drawn uniformly from a "
        "group is not itself equivariant; evaluate level.predictor(predict) to measure it"
    )
    NOISE_REMOVED = (
        "stochastic model: the noise between calls has been taken off its errors and risks, which "
        "are those of the mean over many calls, and is in the facts"
    )
    CALLS_DIFFER = (
        "equal calls of the model differ by a few roundings (sums in an order that changes): that "
        "is in the float floor"
    )
    MODELS_NOT_ARCHITECTURES = (
        "one trained model a candidate: this compares these models, not their architectures; pass "
        "a list of tables, one a training seed, to compare those"
    )
    OTHER_TRANSFORMS = (
        "candidates were evaluated over different transforms (see the table): their risks, those "
        "of the inputs as they are, compare; their equivariance errors do not"
    )
    UNEVEN_SEEDS = (
        "the trainings of one candidate differ far more than those of the others (see the table): "
        "its next training may be far from the mean of these; train more seeds of it"
    )
    HORIZON_LARGEST = (
        "no horizon was stated: the decision is for the largest number of training rows observed; "
        "pass horizon= for another"
    )
    LAW_NOT_INVARIANT = (
        "the data error is withheld: moved inputs are not known to be as likely as the inputs, "
        "and what is true of them cannot be known from these data; what exact symmetry costs can"
    )
    KAPPA_INFINITE = (
        "some transformed inputs look unlike any input (kappa is infinite): what the model does "
        "there says nothing of its risk on the inputs themselves"
    )
    NOISE_UNKNOWN = (
        "the noise of the targets is not known: the upper bound takes all of the risk for "
        "asymmetry; pass noise_variance or repeats"
    )
    NO_LOWER_BOUND = (
        "averaging this predictor changes nothing that stands out from rounding or noise: it says "
        "nothing from below; use a predictor that is free to be asymmetric"
    )
    LAW_NOT_SYMMETRIC = (
        "no lower bound: transformations and their inverses are not equally likely, as far as can "
        "be seen"
    )
    JOINED_AS_INDEPENDENT = (
        "the two results rest on different rows or weight seeds: joined as independent"
    )
    DEFECT_OF_THESE_ROWS = (
        "the model's average defect on its training rows is taken to be that on these: pass train="
    )
    SATURATED = (
        "equivalent_samples is withheld: without the symmetry the bound is nearly the largest "
        "loss, and hardly falls with the number of rows"
    )
    NO_FORECAST = "no forecast at other numbers of rows: there are too few rows, or rows coincide"
    DISJOINT_BLOCKS = (
        "rows were taken in disjoint blocks: a larger block_rows makes the bound smaller and takes "
        "more memory"
    )
    KAPPA_ESTIMATED = (
        "indicative: the bound rests on how much rarer the transformed inputs are among the "
        "inputs (kappa), as a classifier sees it, and no sample bounds that"
    )
    NO_ERRORS = (
        "the runs have no equivariance errors for every candidate, or they hardly differ: nothing "
        "is said of the optimal level"
    )
    ONE_CANDIDATE = "one candidate: nothing can be said of which is best"
    LARGEST_SEEN = (
        "indicative: diameters and slopes go by the largest seen, and a sample bounds a supremum "
        "from below only"
    )
    FEWER_CENTRES = (
        "the nets have fewer centres than rows (see n_centres): at smaller radii the covering "
        "numbers go on with the dimension as their slope"
    )
    ONE_ESTIMATOR = (
        "the level is that of kernel ridge regression; the best one of another estimator may differ"
    )
    GROUPS_COUNT_ONCE = (
        "groups have different numbers of rows: what is certified is the mean over groups, each of "
        "which counts once"
    )
    NO_STEP_SEEN = (
        "no output changed on these rows, but outputs take few values (labels, steps): in rows "
        "not seen about 3 in n may change (see facts.invisible_rate), and what averaging does "
        "there is not known"
    )
    PARTS_ENTANGLED = (
        "symmetric and asymmetric parts are correlated where transformed inputs are not as likely "
        "as the inputs: the level is withheld, and the harm of exact symmetry is what rows lose "
        "that are held out; at other numbers of rows it changes as a formula says"
    )
    EQUAL_ROWS = "rows that are equal to others, or transformed copies of them, count once"
    INDICATIVE = (
        "indicative: a classifier found inputs and transformed inputs equally likely, which it "
        "cannot prove"
    )
    UP_TO_ROUNDING = "equivariant up to rounding: the error is no larger than floating point makes"

    PARTLY_THE_GRID = (
        "moving output maps forth and back without the model changes them by more than half as "
        "much: the error is partly that of the grid (interpolation, what leaves the frame)"
    )
    OUTLYING_ROWS = "rows far from all others (see outlier_rows) were left out of the dimension"
    ORBITS_SAMPLED = (
        "orbit distances are the least over a sample of the transformations: orbits may be nearer"
    )
    SCALES_DISAGREE = (
        "the dimension depends on the scale more than a boundary or curvature explains (noise, "
        "clusters): it is the one at the smallest scale, see scale_dimension"
    )
    ON_A_GRID = "rows lie on a grid: the dimension is read at scales of several steps"
    RARE_FAILURES = (
        "fewer than 100 independent rows: failures rarer than about 3 in n rows can be missing "
        "from the data and from the interval"
    )
    ONE_TRANSFORM = (
        "one transformation per row: averages over the orbit and what follows from them are "
        "withheld; pass n_transforms of at least 2"
    )
    SHARED_TRANSFORMS = (
        "all rows share one list of transformations: averages over the orbit and what follows from "
        "them are withheld; pass design='quasi'"
    )
    CONSTANT_OUTPUT = "the output hardly varies over rows: the relative error is withheld"
    STEP_LOSS = (
        "the loss changes in steps: the position of least risk is hardly determined, and its "
        "interval may be too narrow; judge by the risk saved"
    )
    FEW_IN_RANGE = (
        "most rows have no transformation within the range of least risk: what is saved is that of "
        "positions chosen on other rows; pass more transformations (n_transforms=)"
    )
    FEW_SEEDS = "fewer than 3 training seeds: the spread between trainings is hardly known"
    RUNS_LEFT_OUT = "runs without a finite risk (or gap) were left out (see left_out)"
    TWO_SIZES = (
        "two sample sizes: how curves bend rests on the priors; add runs at a third, far from both"
    )
    FEW_LEVELS = (
        "two candidates with errors: the optimal level rests on the priors; add candidates between "
        "or beyond them"
    )
    NOT_CONVERGED = (
        "the chains did not converge (R-hat above 1.01, or divergent steps): give more warm-up and "
        "samples, or other priors"
    )
    MAY_BE_RATES = (
        "risks lie between 0 and 1 and come near to 1: if they are rates of errors or of failures, "
        "pass risk_max=1, or columns 'failures' and 'trials'"
    )
    RISKS_RISE = (
        "the risks of most candidates rise with n: if these are accuracies or scores, pass what is "
        "lost (1 - accuracy) in their place"
    )
    UNEVEN_WEIGHTS = (
        "the draws stand for the posterior by uneven weights (Pareto k above 0.7): the ends of "
        "intervals are rough; give more runs, or narrower priors"
    )
    THEORY_DOUBTED = (
        "errors, floors and costs of these runs do not go together as the theory has it: risks are "
        "forecast without it, and the optimal level is what it would be if the theory held"
    )
    ROOTED_RISKS = (
        "the squares of these risks go with the errors far better than the risks: if they are "
        "roots of mean squared errors, pass their squares"
    )
    ROWS_LEFT_OUT = "rows that not all candidates share were left out"
    FEW_ROWS = (
        "fewer than 30 independent rows: where a few of them dominate, intervals are too narrow"
    )
    RARE_AMONG_MANY = (
        "few rows for so many ways to act: what changes the output on few rows may be on none of "
        "these in one of the ways, which is then named a symmetry; give more rows"
    )
    UNEQUAL_GROUPS = (
        "groups of very unequal sizes, which count as fewer than 30 equal ones: the largest decide "
        "the mean, and where one of them dominates, intervals are too narrow"
    )
    HEAVY_TAIL = (
        "heavy tail (index above 0.7): a few rows decide the mean, and rows not seen may hold more"
    )
    FEW_CARRY = (
        "a few rows carry most of a mean: how many of them there are among others is hardly known"
    )
    HEAVY_NOISE = (
        "heavy-tailed noise: the mean of squared residuals is more often too small than too large; "
        "the upper bound allows for it, as far as the tail goes on as the largest rows do"
    )
    FEW_TRANSFORMS = (
        "a crossed design with fewer than 30 transformations: their share of the uncertainty is "
        "hardly known"
    )
    NEARLY_SYMMETRIC = (
        "the symmetric predictor is an average over a range of transformations, which is not "
        "exactly equivariant: exact symmetry may cost more"
    )
    PAIR_LACKS = (
        "the free predictor lacks a good part of what symmetry could cost, and the symmetry cost "
        "is too small by that: take it as a statement from below; noise_variance or repeats give "
        "one from above"
    )
    NOT_CLOSED = (
        "brackets of the generators that were found are not among them: at this tolerance some "
        "symmetries are missed, or some of these are none"
    )
    ROWS_ALIKE = (
        "rows are nearer to the next row, or to copies of themselves, than independent rows would "
        "be: steps of a trajectory and copies count as independent here, and are not; pass "
        "groups=, one for each trajectory or for each row and its copies, or shuffle rows that "
        "were merely sorted"
    )
    NEIGHBOURS_FAR = (
        "neighbours are far apart for how the truth varies (see dimension and distance_correction "
        "in the facts): the symmetry cost is indicative, and more often too small than too large"
    )
    NEIGHBOURS_COINCIDE = (
        "many rows are copies of others, moved or not, or lie on a grid: what neighbours tell may "
        "be far off, to either side; pass groups=, one for each row and its copies"
    )
    FEW_AROUND = (
        "fewer than 250 independent rows: images beyond the edge of the data are no farther from "
        "the nearest rows than these are from each other, and too few of them are said to leave "
        "the data; give more rows"
    )
    TRUTH_UNRESOLVED = (
        "targets differ between neighbours nearly as much as anywhere: where symmetry contradicts "
        "them is hardly seen (see disagreement_at_rows); give more rows, or less noise"
    )
    BOUNDS_CROSS = (
        "the lower bound exceeds the upper one: the stated noise is too large, or transformed "
        "inputs are not as likely as the inputs"
    )
    TRAINED_ON_ROWS = (
        "the risk is below the noise: the predictor was trained on these rows, or the stated noise "
        "is too large; see cross_fit"
    )
    CONSTANT_SEEN = (
        "indicative: a constant of the class is the largest that a sample shows, which the largest "
        "of all may exceed; state it to make this a bound"
    )
    BATCH_DEPENDENT = (
        "outputs depend on the batch, as declared: other batches of the same rows give other "
        "numbers, and rows of a batch are not independent"
    )
    NONFINITE_OUTPUTS = (
        "rows with outputs that are not finite (or above 1e60), or on which the model raised, were "
        "left out (see nonfinite_rows): the result speaks of the others, which are a selection"
    )
    NONFINITE_AS_WORST = "rows with outputs that are not finite count as the largest possible error"
    BLIND_CLASSIFIER = (
        "the classifier gives all rows one answer: that it tells nothing apart says nothing; pass "
        "another classifier, or more rows"
    )
    PART_NOT_DRAWN = (
        "a part of the distribution of the transformations was never drawn: nothing is said of "
        "it; pass more transformations"
    )
    NOT_FINITE = (
        "some draws are not finite (see summary): nothing that rests on them is to be believed"
    )
    VACUOUS = "vacuous: the bound is no smaller than the largest loss, and says nothing"

    @property
    def severity(self) -> int:
        """Position in the order of severity, 0 the mildest."""
        return list(Diagnostic).index(self)

    @property
    def is_caution(self) -> bool:
        """Whether it limits what may be believed, rather than report a finding."""
        return self.severity > Diagnostic.UP_TO_ROUNDING.severity


FEW_UNITS = 30
"""With fewer independent rows or groups a result carries `Diagnostic.FEW_ROWS`."""


ENOUGH_FOR_FAILURES = 100
"""With fewer independent rows or groups a result carries `Diagnostic.RARE_FAILURES`."""

HEAVY_TAIL_INDEX = 0.7
"""With a larger tail index of what is averaged a result carries `Diagnostic.HEAVY_TAIL`."""


def worst_first(found: set[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return diagnostics in order, the worst first."""
    return tuple(sorted(found, key=lambda d: -d.severity))
