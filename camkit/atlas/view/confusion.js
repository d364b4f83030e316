// The numbers of a confusion matrix: pure functions of the index.

/** @import { Group, Index } from "./types.js" */
import { found, setsOf } from "./label-sets.js";
import { countOfPictures } from "./words.js";

/** Counts of true classes (rows) against predicted ones (columns), for the classes that occur. */
export class Confusion {
  /**
   * @param {Index} index
   * @param {Group[]} all groups, of which the confused pairs are the errors
   */
  constructor(index, all) {
    this.index = index;
    this.sets = index.labels.map((_, i) => setsOf(index, i));
    const occurring = new Set(this.sets.flatMap((sets) => [...sets.true, ...sets.predicted]));
    this.classes = [...occurring].sort((a, b) => a - b);

    /** @type {Map<number, Group>} */
    this.pairs = new Map();
    for (const group of all) {
      if (group.true === undefined || group.predicted === undefined) continue;
      this.pairs.set(this.keyOf(group.true, group.predicted), group);
    }
    this.correct = this.findCorrect();
    const counts = [...this.pairs.values()].map((group) => group.members.length);
    this.highestCount = Math.max(1, ...counts);
  }

  /**
   * @param {number} trueClass
   * @param {number} predictedClass
   */
  keyOf(trueClass, predictedClass) {
    return trueClass * this.index.classNames.length + predictedClass;
  }

  get size() {
    return this.classes.length;
  }

  /**
   * Return the images in a cell as a group, or undefined if there are none.
   *
   * @param {number} row
   * @param {number} column
   * @returns {Group | undefined}
   */
  groupAt(row, column) {
    const trueClass = this.classes[row];
    const predictedClass = this.classes[column];
    if (row !== column) return this.pairs.get(this.keyOf(trueClass, predictedClass));
    const members = this.correctOf(trueClass);
    const title = `${this.index.classNames[trueClass]}, correctly classified`;
    return members.length ? { title, members } : undefined;
  }

  /**
   * Return the images of a class that are classified correctly.
   *
   * @param {number} c
   */
  correctOf(c) {
    return this.correct.get(c) ?? [];
  }

  findCorrect() {
    /** @type {Map<number, number[]>} */
    const correct = new Map();
    this.sets.forEach((sets, i) => {
      for (const c of found(sets)) {
        const members = correct.get(c) ?? [];
        members.push(i);
        correct.set(c, members);
      }
    });
    return correct;
  }

  /**
   * @param {number} row
   * @param {number} column
   */
  countAt(row, column) {
    return this.groupAt(row, column)?.members.length ?? 0;
  }

  /**
   * @param {number} row
   * @param {number} column
   */
  describe(row, column) {
    const { classNames, labelSets } = this.index;
    const trueName = classNames[this.classes[row]];
    const predictedName = classNames[this.classes[column]];
    const count = countOfPictures(this.countAt(row, column));
    if (labelSets && row !== column) {
      return `${trueName} missed, ${predictedName} invented: ${count}`;
    }
    return `true ${trueName}, predicted ${predictedName}: ${count}`;
  }
}
