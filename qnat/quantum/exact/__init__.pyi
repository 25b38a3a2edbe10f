from .dense import thermal as thermal
