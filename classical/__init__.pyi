from qnat.geometry.spin_families import BoltzmannMachine as BoltzmannMachine
from qnat.geometry.spin_families import RestrictedBoltzmannMachine as RestrictedBoltzmannMachine

from .data.sets import load as load
from .methods.entropy_sgd import entropy_sgd as entropy_sgd
from .methods.fisher import FisherMetric as FisherMetric
from .methods.fisher import KroneckerFisher as KroneckerFisher
from .methods.fisher import OuterProductFisher as OuterProductFisher
from .methods.kfac import kfac as kfac
from .methods.kld_wrm import kld_wrm_q as kld_wrm_q
from .methods.kld_wrm import kld_wrm_so as kld_wrm_so
from .methods.wake_sleep import HelmholtzFisher as HelmholtzFisher
from .models.helmholtz import HelmholtzMachine as HelmholtzMachine
from .models.mixture import Mixture as Mixture
from .models.network import Layer as Layer
from .models.network import Network as Network
from .problems.helmholtz import HelmholtzTask as HelmholtzTask
from .problems.network import NetworkTask as NetworkTask
