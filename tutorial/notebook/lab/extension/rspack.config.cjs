// Modules are numbered in their order: a build gives the same in every folder.
module.exports = { optimization: { moduleIds: "natural" } };
